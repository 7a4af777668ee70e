"""Settings are strict: what is written is what is read, and a stranger is named with its nearest neighbour."""

import json
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from counterpoint.config import Config, dump, override, parse, read
from counterpoint.files import renamed
from counterpoint.training import TrainConfig


def load(kind: type[Config], path: Path, changes: tuple[str, ...] | list[str] = ()):
    return parse(kind, override(read(path), changes), str(path))


class Cat(Config):
    kind: Literal["cat"] = "cat"
    whiskers: int = 6


class Dog(Config):
    kind: Literal["dog"] = "dog"
    tail: float = 1.0
    collar: Cat | None = None


class House(Config):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] = Cat()
    pets: tuple[Annotated[Cat | Dog, Field(discriminator="kind")], ...] = ()
    rooms: dict[str, int] = Field(default_factory=dict)
    door: Cat = Cat()
    size: tuple[float, float] = (1.0, 2.0)
    name: str = "home"


ANIMALS = st.builds(Cat, whiskers=st.integers(-9, 9)) | st.builds(
    Dog, tail=st.floats(allow_nan=False, allow_infinity=False), collar=st.none() | st.builds(Cat)
)


@given(
    st.builds(
        House,
        pet=ANIMALS,
        pets=st.lists(ANIMALS, max_size=3).map(tuple),
        rooms=st.dictionaries(st.text(), st.integers()),
        name=st.text(),
    )
)
def test_what_is_dumped_is_what_is_parsed(house):
    assert parse(House, json.loads(dump(house))) == house


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ({"nam": "x"}, r"there is no setting 'nam'; did you mean 'name'\?"),
        ({"door": {"whisker": 3}}, r"'door\.whisker'; did you mean 'whiskers'\?"),
        ({"pet": {"kind": "dog", "tial": 3}}, r"tial'; did you mean 'tail'\?"),
        ({"pet": {"kind": "dog", "collar": {"wiskers": 1}}}, r"wiskers'; did you mean 'whiskers'\?"),
        ({"pets": [{"kind": "cat"}, {"kind": "dog", "tails": 3}]}, r"pets\.1\.tails'; did you mean 'tail'\?"),
        ({"pet": {"kind": "cat", "zzz": 3}}, r"known here: kind, whiskers\."),
    ],
)
def test_a_misspelt_key_is_named_with_its_neighbour(content, hint):
    with pytest.raises(ValueError, match=hint):
        parse(House, content)


def test_a_neighbour_comes_from_the_chosen_member_of_a_union_only():
    with pytest.raises(ValueError) as error:
        parse(House, {"pet": {"kind": "cat", "tail": 1.0}})
    assert "known here: kind, whiskers" in str(error.value)


def test_wrong_values_say_where_and_what():
    with pytest.raises(ValueError, match=r"a\.toml: door\.whiskers: .*whole number"):
        parse(House, {"door": {"whiskers": "many"}}, source="a.toml")
    with pytest.raises(ValueError, match=r"pet: .*'cat', 'dog'"):
        parse(House, {"pet": {"kind": "cow"}})


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        House().name = "other"


def test_overrides_reach_any_depth_and_keep_their_types():
    content = {"pet": {"kind": "dog", "tail": 1.0}, "name": "a"}
    changed = override(
        content, ["pet.tail=2.5", "name=b c", "size=[3, 4]", "door.whiskers=2", 'rooms.hall="1"', "rooms.yard = 2"]
    )
    assert changed["pet"] == {"kind": "dog", "tail": 2.5} and changed["name"] == "b c" and changed["size"] == [3, 4]
    assert changed["door"]["whiskers"] == 2 and changed["rooms"] == {"hall": "1", "yard": 2}
    assert content == {"pet": {"kind": "dog", "tail": 1.0}, "name": "a"}  # the original stays
    assert parse(House, override({}, ["name=x=y"])).name == "x=y"


@pytest.mark.parametrize("wrong", ["name", "=3", "name.first=3"])
def test_overrides_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError):
        override({"name": "a"}, [wrong])


def test_files_are_read_by_suffix_and_errors_name_the_line(tmp_path: Path):
    (tmp_path / "a.toml").write_text('name = "x"\n[pet]\nkind = "dog"\n')
    assert load(House, tmp_path / "a.toml", ["pet.tail=3"]) == House(name="x", pet=Dog(tail=3.0))
    (tmp_path / "a.json").write_text(dump(House(name="y")))
    assert load(House, tmp_path / "a.json") == House(name="y")
    (tmp_path / "bad.toml").write_text("name = \n")
    with pytest.raises(ValueError, match=r"bad\.toml is not valid TOML: .*line 1"):
        read(tmp_path / "bad.toml")
    (tmp_path / "bad.json").write_text("{,}")
    with pytest.raises(ValueError, match=r"bad\.json is not valid JSON: .*line 1"):
        read(tmp_path / "bad.json")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="not valid TOML"):
        read(tmp_path / "bytes.toml")
    with pytest.raises(ValueError, match="There is no file"):
        read(tmp_path / "none.toml")


def test_a_list_is_no_table_of_settings(tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text("[1, 2]")
    with pytest.raises(ValueError, match="table of names"):
        read(path)


def test_dates_are_named_in_files_and_text_on_the_command_line(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("name = 2024-05-01\n[door]\nwhiskers = 07:32:00\n")
    with pytest.raises(ValueError, match=r"a\.toml: (door\.whiskers|name): .*(whole number|string).*\.$"):
        load(House, path, ["size=[1, 2]"])
    assert load(House, path, ["name=2024-05-01", "door.whiskers=3"]).name == "2024-05-01"


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "new" / "a.txt"
    with renamed(target) as path:
        path.write_text("whole")
        assert not target.exists()
    with pytest.raises(RuntimeError), renamed(target) as path:
        path.write_text("ha")
        raise RuntimeError
    assert target.read_text() == "whole" and list(target.parent.iterdir()) == [target]
    with pytest.raises(ValueError, match=r"cannot be written \(.+\); choose another folder"), renamed(target / "b.txt"):
        pass


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"door": "oak"}, "door: must be a table, such as { name = value }, not 'oak'."),
        ({"door": {"whiskers": "long"}}, "door.whiskers: must be a whole number, not 'long'."),
        ({"pet": {"kind": "dog", "tail": "long"}}, "pet.tail: must be a number, not 'long'."),
        ({"pet": {"tail": 3}}, "pet: must be a table that states its kind, not {'tail': 3}."),
        ({"pet": {"kind": "cow"}}, "pet: there is no kind 'cow'; known here: 'cat', 'dog'."),
    ],
)
def test_slips_are_told_in_plain_words(content, message):
    with pytest.raises(ValueError) as error:
        parse(House, {"name": "x", **content}, "recipe.toml")
    assert str(error.value) == f"recipe.toml: {message}"


@pytest.mark.parametrize(("value", "words"), [(0, "must be at least 1, not 0"), (-2, "must be at least 1, not -2")])
def test_bounds_are_told_in_plain_words(value, words):
    with pytest.raises(ValueError, match=f"sample_every: {words}"):
        parse(TrainConfig, {"sample_every": value})
