"""The command `plan`: what a manifest will make and cost, before anything is spent."""

from __future__ import annotations

import argparse
import sys

from airflow_provider_kling.commands.output import write_json, write_table

NAME = "plan"
SUMMARY = "Tells what a manifest will make and cost, and spends nothing."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifest", metavar="MANIFEST", help="path or URI of a CSV, JSON Lines or JSON file")
    parser.add_argument("--results", metavar="PLACE", help="the run's folder or URI for results: its price book, what it has made")
    account = parser.add_mutually_exclusive_group()
    account.add_argument("--conn-id", default="kling_default", metavar="ID", help="the connection, or several with commas")
    account.add_argument("--no-account", action="store_true", help="ask no account; needs no keys")
    parser.add_argument("--no-images", action="store_true", help="do not open the images")
    parser.add_argument("--urls", action="store_true", help="ask for the head of each image's URL")
    parser.add_argument("--max-videos", metavar="N", help="the run's cap of videos")
    parser.add_argument("--max-units", metavar="N", help="the run's cap of units")
    parser.add_argument("--slots", type=_count, metavar="N", help="how many tasks run at once, where you know it")
    parser.add_argument("--strict", action="store_true", help="scenes that are unknown or discontinued make a row bad")
    parser.add_argument("--format", choices=("csv", "jsonl", "json"), help="where the manifest's suffix does not tell")
    parser.add_argument("--shard", metavar="I/N", help="only these rows, like 3/10")
    parser.add_argument("--fresh", metavar="TEXT", help="the run's argument fresh")
    parser.add_argument(
        "--run", nargs=3, dest="of_run", metavar=("DAG_ID", "RUN_ID", "TASK_ID"), help="find what this run has made already"
    )
    parser.add_argument("--rows", metavar="FILE", help="write one JSON line for each row into this file")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def run(arguments: argparse.Namespace) -> int:
    from airflow_provider_kling.batch import shard_of
    from airflow_provider_kling.caps import RunCap
    from airflow_provider_kling.planning import PlanJob, describe_plan, make_plan, problems_table, scenes_table

    shard_of(arguments.shard)
    job = PlanJob(
        manifest=arguments.manifest,
        results=arguments.results,
        kling_conn_id=None if arguments.no_account else arguments.conn_id,
        identity=tuple(arguments.of_run) if arguments.of_run else None,
        format=arguments.format,
        strict=arguments.strict,
        shard=arguments.shard,
        fresh=arguments.fresh,
        slots=arguments.slots,
        cap=RunCap.of(arguments.max_videos, arguments.max_units),
        check_images=not arguments.no_images,
        check_urls=arguments.urls,
        rows=arguments.rows,
    )
    plan = make_plan(job, log=_progress)
    if arguments.json:
        write_json(plan)
        return 0
    write_table(*scenes_table(plan))
    if plan["more_scenes"]:
        sys.stdout.write(f"… and {plan['more_scenes']:,} more scenes\n")
    if plan["problems"]:
        sys.stdout.write("\n")
        write_table(*problems_table(plan))
        if plan["more_problems"]:
            sys.stdout.write(f"… and {plan['more_problems']:,} more rows; --rows FILE writes all\n")
    sys.stdout.write("".join(["\n", *(f"{line}\n" for line in describe_plan(plan))]))
    return 0


def _progress(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _count(text: str) -> int:
    """A whole number from 1 on."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number
