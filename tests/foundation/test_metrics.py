from web.foundation.metrics import CONTENT_TYPE, Metrics


def test_prometheus_can_read_what_was_counted() -> None:
    metrics = Metrics()
    metrics.requests.labels("/{slug:str}", 200).observe(0.004)
    metrics.refused.labels("registration").inc()
    metrics.deliveries.labels("confirmation", "done").inc()
    metrics.waiting.set(3)
    text = metrics.text().decode()
    assert 'pasito_request_seconds_count{route="/{slug:str}",status="200"} 1.0' in text
    assert 'pasito_request_seconds_bucket{le="0.005",route="/{slug:str}",status="200"} 1.0' in text
    assert 'pasito_limit_refusals_total{rule="registration"} 1.0' in text
    assert 'pasito_deliveries_total{kind="confirmation",outcome="done"} 1.0' in text
    assert "pasito_deliveries_waiting 3.0" in text
    assert CONTENT_TYPE.startswith("text/plain")


def test_two_processes_in_one_test_do_not_share_their_counts() -> None:
    one, other = Metrics(), Metrics()
    one.refused.labels("registration").inc()
    assert b'rule="registration"' not in other.text()
