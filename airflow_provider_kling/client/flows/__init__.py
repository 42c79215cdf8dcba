"""What takes several calls: create without paying twice, wait until done, save. Decided here, done by a driver.

A flow is a generator of steps. Its driver (`Client.run`, `AsyncClient.run`) takes each step, sends back what it brings or
throws in the KlingError that came instead, and returns what the flow returns:

- a `Call` is sent to the API; drivers repeat reads over faults that may pass, and never repeat a create;
- `Sleep` waits, `CheckCapacity` checks the user's own limit of running tasks, `Reserve` and `GiveBack` hold the caps of the
  account, `LoadRequest` loads images when they are sent, `SaveVideo` stores a video, `Log` writes to the caller's log,
  `Count` counts an event in the metrics.

So each rule stands here once, for worker and triggerer, and is tested without a socket or a clock.
"""

from airflow_provider_kling.faces import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
