"""A deployment's folder says where everything is, and what cannot be read is refused in one line."""

import pytest

from federation.rules import InputError
from scenarios.deployment.layout import Description, Layout

TWO = Description(created="2026-01-01T00:00:00+00:00", sites=("site-0", "site-1"), hosts=("example.org",))


def test_a_folder_that_was_written_is_read_again(tmp_path):
    (tmp_path / "deployment.json").write_text(TWO.model_dump_json(), encoding="utf-8")
    assert Layout.load(tmp_path) == Layout(tmp_path, TWO)


def test_sites_have_numbers_and_files_of_their_own(tmp_path):
    first, second = Layout(tmp_path, TWO).sites
    assert (first.number, second.number) == (0, 1)
    assert not {first.key, first.public_key, first.secret, first.data} & {second.key, second.secret, second.data}


def test_the_server_goes_by_the_names_that_were_added(tmp_path):
    assert {"localhost", "gateway", "example.org"} <= set(Layout(tmp_path, TWO).server_names)


def test_a_folder_without_a_deployment_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no deployment .* make one by `manifold deploy init`"):
        Layout.load(tmp_path)


@pytest.mark.parametrize("text", ['{"version": 2}', "{", '{"version": 1, "created": "x", "sites": []}'])
def test_another_version_or_a_damaged_file_is_refused(tmp_path, text):
    (tmp_path / "deployment.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="expected version 1"):
        Layout.load(tmp_path)
