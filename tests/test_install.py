"""What uv is told of pip's settings."""

from __future__ import annotations

import importlib.util
from pathlib import Path

FILE = Path(__file__).resolve().parent.parent / "tools" / "install.py"
spec = importlib.util.spec_from_file_location("install", FILE)
install = importlib.util.module_from_spec(spec)
spec.loader.exec_module(install)

LISTED = r"""
:env:.cert='/own.pem'
:env:.index-url='https://b.test/simple'
global.index-url='https://a.test/simple'
global.timeout='9'
install.find-links='\n/one\n/two'
"""


def test_uv_is_told_of_what_wins_in_pips_settings():
    options = ["--default-index", "https://b.test/simple", "--find-links", "/one", "--find-links", "/two"]
    assert install.uv_options(LISTED.strip()) == (options, {"SSL_CERT_FILE": "/own.pem"})


def test_uv_is_told_nothing_where_a_setting_has_no_equal():
    assert install.uv_options("global.proxy='proxy.test:3128'") is None
