"""What several files of tests share: clients of the OAuth server, declared beside those of the quick start."""

import oauth
import pytest


@pytest.fixture(scope="session")
def clients(tmp_path_factory):
    """Applies `oauth.RESOURCES`; the clients by id."""
    path = tmp_path_factory.mktemp("resources") / "clients.yaml"
    path.write_text(oauth.RESOURCES, encoding="utf-8")
    status, said = oauth.apply(path)
    assert status == 0, said
    return oauth.CLIENTS
