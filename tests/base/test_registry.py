"""The registry: soundprobe's own, other packages' by entry points, and addresses. Packages are real ones."""

from __future__ import annotations

import errno
import importlib
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from soundprobe.base import registry as registries
from soundprobe.base.errors import ConfigError, SoundprobeWarning
from soundprobe.base.registry import Prefix, Registry, allow, code_of, resolve, strangers_code


@dataclass(frozen=True)
class Spec:
    name: str
    target: str = ""


def registry() -> Registry[Spec]:
    return Registry(
        "thing",
        "soundprobe.test_things",
        [Spec("own", "json:loads")],
        prefixes=(
            Prefix("pre", "<name>", "test_registry:Spec", "any thing of pre", "pre:one"),
            Prefix("code", "<module>", "test_registry:Spec", "code of yours", "code:mine", is_code=lambda rest: True),
            Prefix("lost", "<name>", "no_such_package:made", "nothing", "lost:one"),
        ),
    )


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with entry points, as pip leaves one: three things, one of which can't be imported."""
    (tmp_path / "other_things.py").write_text(
        "from test_registry import Spec\n"
        "class Good:\n    spec = Spec('whatever')\n"
        "class Bare:\n    pass\n"
        "PLAIN = Spec('plain', 'json:dumps')\n"
    )
    about = tmp_path / "other_things-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: other-things\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[soundprobe.test_things]\n"
        "good = other_things:Good\n"
        "plain = other_things:PLAIN\n"
        "bare = other_things:Bare\n"
        "broken = no_such_package:Thing\n"
        "own = other_things:PLAIN\n"
        "a+b = other_things:PLAIN\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.delitem(sys.modules, "other_things", raising=False)
    return tmp_path


def test_spec_of_an_entry_point_is_called_as_the_entry_point_is_and_knows_its_class(package: Path) -> None:
    found = registry()["good"]
    assert (found.name, found.target) == ("good", "other_things:Good")
    assert registry()["plain"].target == "json:dumps"


def test_registry_iterates_over_its_own_first_and_an_own_name_cannot_be_taken(package: Path) -> None:
    things = registry()
    assert list(things) == ["own", "bare", "broken", "good", "plain"]
    assert things["own"].target == "json:loads"
    assert len(things) == 5
    assert "good" in things
    assert "other" not in things


def test_one_broken_package_is_named_and_the_others_are_used(package: Path) -> None:
    with pytest.warns(SoundprobeWarning) as caught:
        names = [spec.name for spec in registry().usable()]
    assert names == ["own", "good", "plain"]
    told = sorted(str(warning.message) for warning in caught)
    assert len(told) == 4
    assert "thing 'a+b' has a '+'" in told[0]
    assert "thing 'bare': other_things:Bare is a class, no Spec, and has no attribute `spec`" in told[1]
    assert "no_such_package:Thing can't be imported" in told[2]
    assert "thing 'own' is soundprobe's own" in told[3]


def test_address_is_a_name_too(package: Path) -> None:
    found = registry()["other_things:Good"]
    assert (found.name, found.target) == ("other_things:Good", "other_things:Good")


@pytest.mark.parametrize("address", ["nowhere:Thing", "json:nothing", ":Thing", "a b:c", "..:x"])
def test_address_of_nothing_is_one_line(address: str) -> None:
    with pytest.raises(ConfigError, match="can't be imported") as caught:
        registry()[address]
    assert "\n" not in str(caught.value)


def test_address_that_only_a_record_names_is_not_imported(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registries, "_allowed", set())
    (package / "hostile.py").write_text(f"open({str(package / 'ran')!r}, 'w').close()\nclass Thing: spec = None\n")
    with pytest.raises(ConfigError, match="some/head names the thing hostile:Thing, .* give --allow hostile:Thing"):
        registry().of_record("hostile:Thing", "some/head")
    assert "hostile" not in sys.modules
    assert not (package / "ran").exists()


@pytest.mark.parametrize("way", ["named before", "allowed", "installed"])
def test_address_or_name_of_a_record_is_followed_where_the_user_knows_it(
    way: str, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registries, "_allowed", set())
    things, name = registry(), "good" if way == "installed" else "other_things:Good"
    if way == "named before":
        assert things[name]
    if way == "allowed":
        allow([name])
    assert things.of_record(name, "some/head").target == "other_things:Good"


def test_unknown_name_says_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"Unknown thing 'owm'. Did you mean 'own'\?") as caught:
        registry()["owm"]
    assert str(caught.value).endswith(" Available: code:<module>, lost:<name>, own, package.module:Class, pre:<name>.")


def test_name_with_a_prefix_is_made_of_the_rest_of_it_and_is_no_address(package: Path) -> None:
    things = registry()
    assert things["pre:some:thing"] == things.of_record("pre:some:thing", "result.json") == Spec("some:thing")
    assert things["code:mine"] == Spec("mine")
    with pytest.raises(ConfigError, match=r"to use it is to run its code\. If you trust it, give --allow code:mine"):
        things.of_record("code:mine", "result.json")
    assert [things.prefix_of(name) for name in ("pre", "own", "json:loads")] == [None] * 3
    with pytest.raises(ConfigError, match="thing 'lost:x': no_such_package:made can't be imported"):
        things["lost:x"]


def test_spec_that_has_no_target_is_made_where_the_kind_knows_how(package: Path) -> None:
    things = Registry(
        "thing", "soundprobe.test_things", [Spec("own")], spec_of=lambda name, found: Spec(found.__name__)
    )
    assert things["bare"] == Spec("bare", "other_things:Bare")


def test_code_of_another_package_changes_with_its_file_once_that_is_imported_anew_and_ours_has_none(
    package: Path,
) -> None:
    before = code_of("other_things:Good")
    assert len(before["code_sha256"]) == 64
    with (package / "other_things.py").open("a") as file:
        file.write("# changed\n")
    assert code_of("other_things:Good") == before  # which is what would run
    importlib.reload(sys.modules["other_things"])
    assert code_of("other_things:Good") != before
    assert code_of("soundprobe.base.registry:Registry") == {}
    assert resolve("json:loads", "x")("1") == 1


@pytest.mark.parametrize(
    ("raised", "told"),
    [(ValueError("a\nb"), "ValueError: a b"), (SystemExit(0), "SystemExit: 0"), (KeyError(), "KeyError")],
)
def test_whatever_strangers_code_raises_is_one_line_with_the_line_of_theirs(raised: BaseException, told: str) -> None:
    with pytest.raises(ConfigError, match=rf"^x fails \({told}.*, at test_registry.py:\d+\)\. Mend it\.$"):
        with strangers_code("x fails", "Mend it."):
            raise raised


@pytest.mark.parametrize("raised", [MemoryError(), OSError(errno.ENOSPC, "No space left on device")])
def test_what_the_machine_lacks_is_not_laid_to_strangers_code(raised: BaseException) -> None:
    with pytest.raises(type(raised)), strangers_code("x fails"):
        raise raised


def test_what_strangers_code_sets_for_all_of_pytorch_is_set_back() -> None:
    threads = torch.get_num_threads()
    with strangers_code("x fails"):
        torch.set_default_dtype(torch.float64)
        torch.set_num_threads(threads + 1)
        torch.set_float32_matmul_precision("medium")
    found = torch.get_default_dtype(), torch.get_num_threads(), torch.get_float32_matmul_precision()
    assert found == (torch.float32, threads, "highest")
