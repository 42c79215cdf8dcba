// Numbers and times as texts.

import { timeZone } from "./airflow.js";
import { h } from "./dom.js";

const zone = timeZone();
const number = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat("en-GB", { timeZone: zone, timeStyle: "medium" });
const day = new Intl.DateTimeFormat("en-GB", { timeZone: zone, day: "numeric", month: "short", year: "numeric" });
const dayAndMinute = new Intl.DateTimeFormat("en-CA", {
  timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});
const whole = new Intl.DateTimeFormat("en-GB", { timeZone: zone, dateStyle: "full", timeStyle: "long" });

export const count = (value) => number.format(value);

/** "1 row", "2,000 rows". */
export const counted = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

const parsed = (iso) => {
  const time = iso ? new Date(iso) : null;
  return time && !Number.isNaN(time.getTime()) ? time : null;
};

export const clockOf = (iso) => (parsed(iso) ? clock.format(parsed(iso)) : "");
export const dayOf = (iso) => (parsed(iso) ? day.format(parsed(iso)) : "");
export const isPast = (iso) => parsed(iso) !== null && parsed(iso) < new Date();

/** "2026-11-26 03:41:00", in a <time> with the whole of it as its title. */
export function time(iso) {
  const at = parsed(iso);
  if (at === null) return null;
  return h("time", { datetime: at.toISOString(), title: whole.format(at) }, dayAndMinute.format(at).replace(",", ""));
}

/** Seconds between two times; null where one is missing. */
export function secondsBetween(start, end) {
  return parsed(start) && parsed(end) ? Math.max(0, (parsed(end) - parsed(start)) / 1000) : null;
}

/** "47 s", "12 min 4 s", "3 h 20 min". */
export function span(seconds) {
  const total = Math.round(seconds);
  if (total < 60) return `${total} s`;
  const minutes = Math.floor(total / 60);
  if (minutes < 60) return total % 60 ? `${minutes} min ${total % 60} s` : `${minutes} min`;
  return minutes % 60 ? `${count(Math.floor(minutes / 60))} h ${minutes % 60} min` : `${count(minutes / 60)} h`;
}

/** Units are decimal texts, exact as Kling says them. */
export const units = (value) => (value === null || value === undefined || value === "" ? "" : counted(Number(value), "unit"));
