"""Each sentence and each row of docs/security.md is held by tests, or says what nothing here protects or what to do.

A sentence is known by its first words. Whoever changes the page changes this list, and says what holds the new words.
"""

import re
from pathlib import Path

import pytest

PAGE = Path("docs/security.md").read_text(encoding="utf-8")

HELD = {
    # Who trusts whom
    "Of Flower it is true": "security/test_configuration::flower_is_the_version",
    "Each sentence is listed": "security/test_claims::each_sentence_of_the_page",
    "| operator |": "deployment/test_compose::a_key_is_seen deployment/test_kubernetes::the_clients_of_a_site_have",
    "| server (SuperLink": "deployment/test_compose::a_key_is_seen",
    "| site | its own": "deployment/test_compose::services_meet server/test_strategy::a_client_downloads",
    "| anybody else": "deployment/test_processes::an_unregistered_key",
    "Flower sends the app": "deployment/test_processes::a_phase_of_one_s_own",
    "Its container meets": "deployment/test_compose::services_meet deployment/test_compose::no_site_has_a_way_out",
    "**Each site reads its own file": "deployment/test_own_data::sites_that_have_their_own_files_alone",
    "`client.npz` of a folder": "deployment/test_compose::a_key_is_seen deployment/test_processes::each_site_has_told",
    "The server has a test set": "deployment/test_own_data::each_folder_holds_one_file "
    "federation/test_sites::a_place_without_a_test_set",
    "Without `task.json`": "deployment/test_own_data::a_site_without_its_file",
    # What is protected
    "| listening and altering": "security/test_configuration::the_gateway_speaks_tls "
    "deployment/test_processes::plain_http deployment/test_compose::no_container_sees",
    "| strangers who pose": "security/test_configuration::node_keys deployment/test_processes::an_unregistered_key "
    "deployment/test_processes::a_node_without_a_key deployment/test_processes::a_server_of_another_authority",
    "| strangers who start runs": "deployment/test_gateway::nothing_else_passes deployment/test_gateway::the_fleet_api "
    "deployment/test_compose::ports_are_published_on_loopback",
    "| a site that looks": "deployment/test_compose::services_meet deployment/test_compose::no_site_has_a_way_out "
    "deployment/test_kubernetes::all_pods_are_closed deployment/test_kubernetes::sites_reach_the_gateway",
    "| a ClientApp that takes": "deployment/test_compose::a_key_is_seen "
    "deployment/test_kubernetes::the_clients_of_a_site_have",
    "| strangers who take": "deployment/test_processes::a_superexec_with_a_wrong_secret "
    "deployment/test_compose::a_secret_is_shared deployment/test_kubernetes::sites_reach_the_gateway",
    "| one site that answers": "server/test_strategy::a_deployed_node_speaks",
    "| what a broken-in": "deployment/test_compose::every_container_is_confined "
    "deployment/test_kubernetes::every_container_is_confined",
    "| files that execute": "server/test_checkpoint::nothing_in_a federation/test_records::arrays_that_cannot "
    "federation/test_world_model::nothing_but_json",
    "| files that somebody else": "federation/test_hostile_worlds::of_many_spoilt "
    "server/test_hostile_checkpoints::of_many_spoilt server/test_hostile_checkpoints::tensors_larger_than_memory",
    "A node's signature covers": "security/test_configuration::flower_is_the_version",
    "It does not limit rates": "security/test_configuration::the_gateway_speaks_tls",
    "Memory limits are": "deployment/test_compose::every_container_is_confined",
    # What sites tell
    "Nothing is masked": "security/test_sums::a_census_tells security/test_sums::the_encoder_is_told",
    "| before the first": "deployment/test_raw_rows::a_site_tells_no_names",
    "| census |": "security/test_sums::a_census_tells",
    "| encoder |": "security/test_sums::the_encoder_is_told",
    "| charting, spawn |": "security/test_sums::each_phase_sends federation/test_manifold::components_with_too_few "
    "server/test_hostile_sums::a_chart_of_a_label",
    "| responsibility": "server/test_several_regions::six_operating_points",
    "| coordinates": "security/test_sums::each_phase_sends",
    "| prior, experts": "security/test_sums::each_phase_sends",
    "| choice, comp": "security/test_sums::each_phase_sends",
    "| reach |": "security/test_sums::each_phase_sends",
    "| evidence |": "security/test_sums::evidence_tells",
    "| readout (": "security/test_sums::each_phase_sends",
    "| selection |": "security/test_sums::each_phase_sends",
    "| least squares (": "security/test_sums::each_phase_sends",
    "Methods of the literature": "security/test_sums::methods_of_the_literature",
    "FedPFT sends charts": "security/test_sums::fedpft_sends",
    "FedDF needs inputs": "scenarios/test_rivals::the_server_of_feddf scenarios/test_rivals::sites_do_not_give",
    "What the experts say": "security/test_sums::evidence_tells",
    "No sum has a row": "security/test_sums::no_sum_has_a_row",
    "**Sites learn of each other**": "security/test_sums::a_site_is_told_all_charts "
    "server/test_strategy::a_client_downloads_its_own parity/test_coupled_engines::a_client_downloads_charts",
    "The finished world model": "security/test_sums::a_site_is_told_all_charts security/test_sums::sums_of_the_head",
    "Moments of fewer": "security/test_sums::a_site_with_fewer federation/test_manifold::components_with_too_few "
    "deployment/test_submission::sites_send_moments security/test_configuration::moments_of_fewer",
    "Raise `charts.min_count`": "federation/test_manifold::a_spherical_component",
    # What a malicious site can do
    "Refused, counted and named": "server/test_strategy::a_spoilt_reply server/test_strategy::the_refused_are_named",
    "| who and when |": "federation/test_records::a_stale_reply server/test_strategy::a_reply_that_comes_twice "
    "server/test_strategy::a_deployed_node_speaks server/test_strategy::a_spoilt_reply",
    "| where |": "security/test_sums::a_site_has_no_say",
    "| shape |": "security/test_sums::what_the_page_says_is_refused",
    "| range |": "security/test_sums::what_the_page_says_is_refused",
    "| count |": "security/test_sums::what_the_page_says_is_refused server/test_strategy::a_deployed_client_is",
    "| chart |": "server/test_hostile_sums::a_chart_of_a_label security/test_sums::what_the_page_says_is_refused",
    "Each phase declares": "server/test_hostile_sums::no_change_of_a_sum server/test_hostile_sums::nor_of_a_rival_s",
    "Where sums that are": "security/test_sums::whoever_s_well_formed",
    "A run goes on": "server/test_strategy::past_max_failures server/test_strategy::a_run_stops_where_the_quorum",
    "What sites tell of raw rows": "deployment/test_raw_rows::sites_that_do_not_fit",
    "A site whose replies": "server/test_roster::a_client_is_left_out server/test_strategy::the_refused_are_named",
    "**No site counts more": "server/test_capping::a_model_weighs server/test_capping::moments_are_capped "
    "server/test_capping::votes_are_capped security/test_configuration::a_cap_of_three",
    "A reply that counts more": "server/test_capping::the_counts_of_a_census server/test_capping::who_is_capped",
    "An honest site": "server/test_capping::a_model_weighs",
    "A simulation caps nobody": "server/test_capping::a_simulation_whose server/test_capping::where_nobody_is_beyond",
    "A chart whose variance": "security/test_configuration::charts_out_of_all_proportion",
    "`python -m benchmarks.hostile`": "server/test_hostile_sums::one_lying_client",
    "Charts confine": "federation/test_composition::the_least_loss federation/test_world_model::routes_are",
    # Keys
    "Each command writes": "deployment/test_upkeep::a_rotation_that_the_superlink",
    "What one that was cut": "deployment/test_upkeep::a_change_that_is_cut_off",
    "| a site's key": "deployment/test_upkeep::a_site_s_key_is_rotated deployment/test_processes::a_rotated_key",
    "| the server's key": "deployment/test_upkeep::what_is_renewed security/test_configuration::node_keys",
    "| all secrets": "deployment/test_upkeep::what_is_renewed deployment/test_init_and_check::every_place",
    "| the authority |": "deployment/test_init_and_check::a_certificate_of_another_authority",
    "`rotate` makes": "deployment/test_processes::a_rotated_key deployment/test_upkeep::a_site_s_key_is_rotated",
    "`renew --certificates`": "deployment/test_upkeep::a_certificate_is_renewed "
    "deployment/test_upkeep::a_certificate_is_not_renewed",
    # To remove a site
    "The first command": "deployment/test_upkeep::a_site_that_is deployment/test_deploy_command::the_kubernetes",
    "The sites after it": "deployment/test_upkeep::a_site_that_is_removed "
    "deployment/test_faults::a_deployment_that_is_served",
    "A run from before": "deployment/test_upkeep::a_run_of_more_sites",
    "After the second": "federation/test_forgetting::the_region_is_never_asked "
    "federation/test_forgetting::what_was_known",
    "The other regions": "federation/test_forgetting::charts_experts federation/test_forgetting::the_others_answers",
    "**What stays": "scenarios/test_cli::a_client_s_region",
    "Where regions are shared": "federation/test_forgetting::a_client_of_a_shared_region",
    "`forget` refuses": "federation/test_forgetting::a_client_of_a_shared_region scenarios/test_cli::what_cannot_be",
}
"""By a sentence's first words: the tests that hold it, as file::beginning of the name after `test_`."""

UNPROTECTED = (
    "What a deployment protects",
    "**The operator's code",
    "So the gateway is",
    "State, checkpoints and results",
    "An honest but curious",
    "Whoever gets it",
    "Two sums that differ",
    "There is no differential privacy",
    "Where four sites",
    "Not refused:",
    "**well-formed lies",
    "A site may train",
    "All rules average",
)
"""What is open, which no test can hold; and what introduces a list."""

ADVICE = ("A site that does not trust", "Let nobody take part", "To be rid of these")


def sentences(page):
    """The rows of tables without their heads, and the sentences between them; no headings, no commands."""
    found = []
    for block in re.sub(r"^```.*?^```$", "", page, flags=re.M | re.S).split("\n\n"):
        lines = [line for line in block.strip().splitlines() if not line.startswith("#")]
        found += [line for line in lines if line.startswith("|")][2:]
        prose = " ".join(line for line in lines if not line.startswith("|"))
        found += [sentence for sentence in re.split(r"(?<=[.:*])\s+(?=[A-Z`*])", prose) if sentence]
    return found


def test_each_sentence_of_the_page_is_listed_once_and_nothing_else_is():
    known = (*HELD, *UNPROTECTED, *ADVICE)
    for sentence in sentences(PAGE):
        fits = [words for words in known if sentence.startswith(words)]
        assert len(fits) == 1, f"{fits or 'nothing'} in tests/security/test_claims.py stands for: {sentence}"
    for words in known:
        assert any(sentence.startswith(words) for sentence in sentences(PAGE)), f"no sentence begins with: {words}"


@pytest.mark.parametrize("words", HELD)
def test_the_tests_that_hold_a_sentence_are_there(words):
    for named in HELD[words].split():
        file, _, start = named.partition("::")
        text = (Path("tests") / f"{file}.py").read_text(encoding="utf-8")
        assert re.search(rf"^def test_{start}", text, re.M), named
