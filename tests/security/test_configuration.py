"""What docs/security.md says of settings, certificates, and Flower's own constants."""

from datetime import timedelta
from pathlib import Path

import flwr
import pytest
import torch
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from flwr.common.constant import TIMESTAMP_TOLERANCE
from hypothesis import given
from hypothesis import strategies as st

from federation.manifold.chart import Moments
from federation.manifold.covariance import OUTLYING, pooled_covariance
from federation.opening import open_run, run_config
from federation.rules import InputError
from federation.scenario import FEWEST, Scenario
from scenarios.deployment.init import initialise

GATEWAY = Path("scenarios/deployment/image/nginx.conf").read_text(encoding="utf-8")


def test_the_gateway_speaks_tls_1_2_or_later_and_limits_no_rates():
    [line] = [line.strip() for line in GATEWAY.splitlines() if "ssl_protocols" in line]
    assert line == "ssl_protocols TLSv1.2 TLSv1.3;"
    assert "limit_req" not in GATEWAY
    assert "limit_conn" not in GATEWAY


def test_flower_is_the_version_that_was_looked_at_and_allows_signatures_five_minutes():
    assert flwr.__version__.startswith("1.41.")
    assert TIMESTAMP_TOLERANCE == 300


def test_node_keys_are_on_p_384_and_the_server_s_certificate_lives_825_days(tmp_path):
    layout = initialise(tmp_path / "fleet", 2)
    for site in layout.sites:
        key = load_ssh_public_key(site.public_key.read_bytes())
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert key.curve.name == "secp384r1"
    [found] = x509.load_pem_x509_certificates(layout.certificate.read_bytes())[:1]
    assert timedelta(days=825) <= found.not_valid_after_utc - found.not_valid_before_utc < timedelta(days=827)


def test_a_cap_of_three_is_what_a_scenario_has_unless_it_says_more():
    assert Scenario.model_fields["weight_cap"].default == 3


def test_moments_of_fewer_than_three_samples_are_never_asked_for():
    assert FEWEST == 3
    with pytest.raises(InputError, match="moments of fewer than 3 samples show them"):
        open_run(run_config("digits", {"charts.min_count": 2}, 0))


@given(st.floats(OUTLYING * 1.01, 1e9), st.integers(1, 4))
def test_charts_out_of_all_proportion_have_no_say_in_what_all_are_shrunk_towards(times, liars):
    def chart(variance):
        return Moments(50.0, torch.zeros(3, dtype=torch.float64), 50 * variance * torch.eye(3, dtype=torch.float64))

    honest = [chart(1.0 + number / 20) for number in range(16)]
    pooled = pooled_covariance([*honest, *[chart(2 * times)] * liars])
    torch.testing.assert_close(pooled, pooled_covariance(honest))
