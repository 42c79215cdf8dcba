"""The spans of a request, where OpenTelemetry is set up, and nothing where it is not."""

from __future__ import annotations

import pytest
from task_runs import URL, FakeAirflow, operator

from airflow_provider_kling.dispatch import schedule
from airflow_provider_kling.hooks import KlingHook

trace = pytest.importorskip("opentelemetry.trace")
sdk = pytest.importorskip("opentelemetry.sdk.trace")
export = pytest.importorskip("opentelemetry.sdk.trace.export")
memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")

SIGNED = f"{URL}?X-Amz-Signature=5ecre7"


@pytest.fixture
def spans(monkeypatch, kling):
    """The finished spans of this package, by name."""
    monkeypatch.setattr(schedule, "FIRST_POLL", 0.1)
    kling.configure(videos="clip", duration=0.3, jitter=0)
    exporter, provider = memory.InMemorySpanExporter(), sdk.TracerProvider()
    provider.add_span_processor(export.SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return lambda: {span.name: span for span in exporter.get_finished_spans() if span.name.startswith("kling.")}


@pytest.mark.parametrize("deferrable", [False, True])
def test_create_wait_and_save_are_spans_with_ids(spans, kling, tmp_path, deferrable):
    video = operator(image=SIGNED, wait_for_completion=True, save_to=str(tmp_path), deferrable=deferrable)
    tracer = trace.get_tracer("test")
    with tracer.start_as_current_span("task") as parent:
        assert FakeAirflow().finish(video).state == "success"
    found = spans()
    assert set(found) == {"kling.create", "kling.wait", "kling.save"}
    (task,) = kling.ledger
    assert found["kling.create"].attributes["kling.kling_task_id"] == task["kling_task_id"]
    assert found["kling.create"].attributes["kling.external_task_id"] == task["external_task_id"]
    assert found["kling.wait"].attributes["kling.status"] == "succeed"
    for span in found.values():
        assert span.attributes["kling.conn_id"] == "kling_default"
        assert span.context.trace_id == parent.get_span_context().trace_id
        assert not span.events
        assert not any("http" in str(value) or "5ecre7" in str(value) for value in span.attributes.values())


def test_a_span_that_fails_names_the_error_alone(spans, kling):
    kling.fault(1201, on="create", message=f"no such scene at {SIGNED}")
    assert FakeAirflow().finish(operator()).state == "failed"
    status = spans()["kling.create"].status
    assert (status.status_code, status.description) == (trace.StatusCode.ERROR, "KlingRequestError")


def test_without_tracing_there_are_no_spans(kling):
    assert not trace.get_current_span().get_span_context().is_valid
    assert KlingHook().create_task(effect_scene="squish", image=URL).kling_task_id
