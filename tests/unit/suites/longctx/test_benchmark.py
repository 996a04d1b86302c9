"""What the benchmark decides before anything is asked: tasks, protocols, options of the miniature data, sources."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from flagbench import BadInput
from flagbench.flags import flags_of
from flagbench.models.loading.overrides import Overrides
from flagbench.results.shapes import LARGEST, score_range
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.data.sources import Folder
from flagbench.runners.generation.server_options import ServerOptions
from flagbench.runners.request import RunRequest
from flagbench.suites.longctx.benchmark import LONG_CONTEXT
from flagbench.suites.longctx.generated import Generated
from flagbench.suites.longctx.options import OF_ALL, OF_KIND, LongContextOptions
from flagbench.suites.longctx.registry import asking_of, kind_of, row_of, rows
from flagbench.suites.longctx.topic import Record
from tests.unit.suites.longctx.word_tokens import WordTokens


def request(*tasks: str, mini: bool = False, options: LongContextOptions | None = None) -> RunRequest:
    return RunRequest("m", "longctx", tasks=tasks, mini=mini, options=options or LongContextOptions())


def with_options(mini: bool = False, **given: Any) -> RunRequest:
    return request(mini=mini, options=LongContextOptions(**given))


def names(asked: RunRequest) -> list[str]:
    return [task.name for task in LONG_CONTEXT.select(asked)]


class TestSelection:
    def test_without_names_there_are_the_grids(self) -> None:
        assert names(request()) == ["Needle", "Passkey", "TopicRetrieval", "LongEvalTopics", "LongEvalLines"]

    def test_groups_add_up_in_the_order_of_the_table(self) -> None:
        assert names(with_options(groups=("mmlu", "lm"))) == ["PG19", "MMLU"]
        sizes = {"longbench": 21, "longbench-e": 13, "infinitebench": 12, "ruler": 13}
        assert {name: len(names(with_options(groups=(name,)))) for name in sizes} == sizes

    def test_names_choose_of_all_groups(self) -> None:
        assert names(request("MMLU", "Passkey")) == ["Passkey", "MMLU"]

    def test_names_and_groups_contradict_each_other(self) -> None:
        both = replace(request("Passkey"), options=LongContextOptions(groups=("grid",)))
        with pytest.raises(BadInput, match="drop one"):
            LONG_CONTEXT.select(both)

    def test_the_protocol_is_the_split(self) -> None:
        for protocol in ("flagembedding", "qlora", "official"):
            chosen = replace(request("Needle"), options=LongContextOptions(protocol=protocol))
            assert [task.splits for task in LONG_CONTEXT.select(chosen)] == [(protocol,)]
        (task,) = LONG_CONTEXT.select(request("LongEvalLines"))
        assert task.splits == ("official",)

    def test_a_protocol_that_named_tasks_have_not_is_refused_for_all_at_once(self) -> None:
        asked = replace(request("Needle", "Passkey", "MMLU"), options=LongContextOptions(protocol="official"))
        with pytest.raises(BadInput) as refused:
            LONG_CONTEXT.select(asked)
        assert str(refused.value).startswith(
            "Passkey (flagembedding, qlora); MMLU (flagembedding) have no protocol 'official': choose one of these"
        )

    def test_groups_are_their_tasks_that_have_the_protocol(self) -> None:
        assert names(with_options(protocol="qlora")) == ["Needle", "Passkey", "TopicRetrieval"]
        asked = with_options(protocol="official", groups=("grid",))
        assert names(asked) == ["Needle", "LongEvalTopics", "LongEvalLines"]
        line = "Passkey, TopicRetrieval (flagembedding, qlora): no protocol official"
        assert LONG_CONTEXT.left_out(asked) == [line]
        assert not LONG_CONTEXT.left_out(with_options())

    def test_a_group_without_the_protocol_is_refused(self) -> None:
        with pytest.raises(BadInput, match=r"^MMLU \(flagembedding\) has no protocol 'qlora'"):
            LONG_CONTEXT.select(with_options(protocol="qlora", groups=("grid", "mmlu")))

    def test_options_that_no_task_reads_are_refused_in_one_line(self) -> None:
        asked = replace(request("Passkey"), options=LongContextOptions(stride=5, shots=3, haystack=Path("own")))
        with pytest.raises(BadInput) as refused:
            LONG_CONTEXT.select(asked)
        assert str(refused.value) == (
            "no chosen task reads --shots (of mmlu); --stride (of lm); --haystack (of grid, ruler): drop what is not "
            "read, or choose such tasks with --tasks or --groups"
        )
        assert names(with_options(groups=("grid", "mmlu"), shots=3))[-1] == "MMLU"
        with pytest.raises(BadInput, match="--haystack"):
            LONG_CONTEXT.select(replace(request("ruler_vt"), options=LongContextOptions(haystack=Path("own"))))

    def test_lines_before_a_run_name_the_protocols(self) -> None:
        lines = LONG_CONTEXT.evidence(request("Passkey", "LongEvalLines"))
        assert lines == ["protocol flagembedding: Passkey", "protocol official: LongEvalLines"]


class TestMiniature:
    def test_lengths_are_short_where_none_are_given(self) -> None:
        settings = LONG_CONTEXT.option_settings(with_options(mini=True, depths=(10,)))
        assert (settings["lengths"], settings["depths"], settings["rows"]) == ((1024, 2048), (10,), 2)
        settings = LONG_CONTEXT.option_settings(with_options(mini=True, lengths=(300,), rows=1))
        assert (settings["lengths"], settings["rows"]) == ((300,), 1)

    def test_they_are_no_numbers_of_topics_or_lines(self) -> None:
        asked = request("TopicRetrieval", "LongEvalTopics", "LongEvalLines", mini=True)
        snapshots = Snapshots(LONG_CONTEXT.mini_data())
        numbers = {}
        for task in LONG_CONTEXT.select(asked):
            content = LONG_CONTEXT.load(task, snapshots, asked).content
            numbers[task.name] = [cast("Record", each).number for each in content.rows]
        expected = {"TopicRetrieval": [5, 5, 10, 10], "LongEvalTopics": [5, 5, 10, 10], "LongEvalLines": [200, 200]}
        assert numbers == expected

    def test_all_of_it_can_be_read(self) -> None:
        asked = with_options(mini=True, groups=tuple(dict.fromkeys(row.group for row in rows())))
        snapshots = Snapshots(LONG_CONTEXT.mini_data())
        chosen = LONG_CONTEXT.select(asked)
        assert len(chosen) == len(rows())
        for task in chosen:
            LONG_CONTEXT.check(task, snapshots, asked)
            assert not list(LONG_CONTEXT.faults(task, snapshots, asked))


class _Watched(LongContextOptions):
    """Options that note which of them are read."""

    def __getattribute__(self, name: str) -> Any:
        READ.add(name)
        return super().__getattribute__(name)


READ: set[str] = set()


class _Tokens(WordTokens):
    around = 0


class TestSettings:
    @pytest.mark.parametrize("name", [next(row.name for row in rows() if row.kind == kind) for kind in OF_KIND])
    def test_a_task_reads_no_other_options_than_those_of_its_kind(self, name: str) -> None:
        row = row_of(name)
        options = _Watched(lengths=(1024,), depths=(50,), rows=1)
        source = LONG_CONTEXT.source(row.task(row.protocols[0]), Snapshots(LONG_CONTEXT.mini_data()))
        READ.clear()
        kind = kind_of(row)
        content = kind.read(row, source, options)
        list(kind.samples(content, _Tokens(), kind.ids(content)[:1]))
        asking_of(row, content.protocol, options)
        flags = {each.field for each in flags_of(LongContextOptions)} - {each.field for each in flags_of(ServerOptions)}
        assert READ & flags <= {*OF_ALL, *OF_KIND[row.kind]}

    def test_options_that_a_task_does_not_read_are_no_settings_of_it(self) -> None:
        (task,) = LONG_CONTEXT.select(request("Passkey"))
        plain = LONG_CONTEXT.option_settings(with_options(lengths=(300,)))
        more = LONG_CONTEXT.option_settings(
            with_options(groups=("grid", "lm", "mmlu"), lengths=(300,), stride=5, shots=3, haystack=Path("own"))
        )
        assert plain != more
        its = LONG_CONTEXT.task_options(task, more)
        assert its == LONG_CONTEXT.task_options(task, plain)
        # Those with a name as their default stay, with that: runs of before have them.
        shared = {"protocol": None, "rows": None, "template": "mistral", "newline_ends": "as-published"}
        assert its == {"lengths": (300,), "depths": (), "seed": None, **shared}
        assert LONG_CONTEXT.former_task_options(task, plain) == plain

    @pytest.mark.parametrize(
        ("name", "given"),
        [
            ("Passkey", {"protocol": "flagembedding"}),
            ("Passkey", {"seed": 123}),
            ("Passkey", {"lengths": tuple(int(8192 + at * (131_072 - 8192) / 19) for at in range(20))}),
            ("Passkey", {"depths": (0, 11, 22, 33, 44, 55, 66, 77, 88, 100)}),
            ("Passkey", {"base_depths": (0, 50, 100), "rows": 3}),
            ("TopicRetrieval", {"topics": (5, 10, 15, 20, 25, 30, 40, 50, 60, 70)}),
            ("LongEvalLines", {"lines": (200, 300, 400, 500, 600, 680)}),
            ("LongBench-trec", {"context_length": 31_500}),
            ("LongBench-samsum", {"newline_ends": "every-task"}),
            ("InfiniteBench-passkey", {"context_length": 128_000}),
            ("InfiniteBench-passkey", {"base_protocol": "official", "context_length": 131_072}),
            ("ruler_vt", {"seed": 42, "rows": 500, "lengths": (4096, 8192, 16384, 32768, 65536, 131072)}),
            ("PG19", {"context_length": 100_000, "stride": 32_768, "rows": 100}),
            ("MMLU", {"shots": 0}),
        ],
    )
    def test_a_published_value_that_is_given_is_no_other_setting(self, name: str, given: dict[str, Any]) -> None:
        def settings(**options: Any) -> tuple[Any, Any]:
            (task,) = LONG_CONTEXT.select(replace(request(name), options=LongContextOptions(**options)))
            return task, LONG_CONTEXT.task_options(task, LONG_CONTEXT.option_settings(with_options(**options)))

        base = {field: given.pop(field) for field in [field for field in given if field.startswith("base_")]}
        plain = {field.removeprefix("base_"): value for field, value in base.items()}
        assert settings(**plain, **given) == settings(**plain)

    @pytest.mark.parametrize(
        ("name", "given"),
        [
            ("Passkey", {"protocol": "qlora"}),
            ("Passkey", {"seed": 42}),
            ("Passkey", {"depths": (0, 50, 100), "rows": 2}),
            ("Needle", {"lengths": tuple(int(8192 + at * (131_072 - 8192) / 19) for at in range(20))}),
            ("LongBench-trec", {"newline_ends": "every-task"}),
            ("InfiniteBench-passkey", {"context_length": 131_072}),
            ("ruler_vt", {"rows": 50}),
        ],
    )
    def test_another_value_is_another_setting(self, name: str, given: dict[str, Any]) -> None:
        def settings(**options: Any) -> Any:
            (task,) = LONG_CONTEXT.select(replace(request(name), options=LongContextOptions(**options)))
            return LONG_CONTEXT.task_options(task, LONG_CONTEXT.option_settings(with_options(**options)))

        assert settings(**given) != settings()

    def test_a_part_that_is_spread_is_told_from_the_first_samples(self) -> None:
        passkey, lines = LONG_CONTEXT.select(request("Passkey", "LongEvalLines"))
        options = LONG_CONTEXT.option_settings(with_options(rows=3))
        assert LONG_CONTEXT.task_options(passkey, options)["rows_chosen"] == "spread"
        assert LONG_CONTEXT.former_task_options(passkey, options) is None
        assert "rows_chosen" not in LONG_CONTEXT.task_options(lines, options)
        assert LONG_CONTEXT.former_task_options(lines, options) == options

    def test_the_server_is_no_part_of_a_results_options(self) -> None:
        asked = with_options(api_base="http://localhost:8000/v1", concurrency=9, api_extra="{}")
        settings = LONG_CONTEXT.option_settings(asked)
        assert not {"api_base", "concurrency", "api_extra", "request_timeout"} & settings.keys()
        assert settings == LONG_CONTEXT.option_settings(request())

    @pytest.mark.parametrize(
        ("field", "value"),
        [("dtype", "fp32"), ("adapters", ("a",))],
    )
    def test_what_is_the_servers_affair_is_refused(self, field: str, value: Any) -> None:
        asked = replace(
            with_options(api_base="http://localhost:8000/v1"), overrides=replace(Overrides(), **{field: value})
        )
        with pytest.raises(BadInput, match="the server's affair"):
            LONG_CONTEXT.model(asked, lambda: True)

    def test_texts_from_a_server_need_a_tokenizer_before_any_data(self) -> None:
        asked = with_options(api_base="http://localhost:8000/v1")
        with pytest.raises(BadInput, match="a server has no tokenizer to ask: name the model's with --tokenizer"):
            LONG_CONTEXT.model(asked, lambda: True)
        assert LONG_CONTEXT.model(replace(asked, tasks=("MMLU",)), lambda: True).spec.name == "api/m"


class TestSources:
    def test_generated_tasks_have_none(self, tmp_path: Path) -> None:
        for snapshots in (Snapshots(None), Snapshots(tmp_path)):
            assert isinstance(LONG_CONTEXT.source(row_of("Passkey").task("qlora"), snapshots), Generated)

    def test_needles_and_ruler_do_without_the_hub(self, tmp_path: Path) -> None:
        for name in ("Needle", "ruler_niah_single_2"):
            task = row_of(name).task(row_of(name).protocols[0])
            assert isinstance(LONG_CONTEXT.source(task, Snapshots(None)), Generated)
            assert isinstance(LONG_CONTEXT.source(task, Snapshots(tmp_path)), Folder)

    def test_the_bundle_stands_in_for_a_dataset_that_is_not_there(self, tmp_path: Path) -> None:
        task = row_of("LongBench-trec").task("flagembedding")
        path = tmp_path / "namespace-Pt" / "projects" / "long-llm" / "longbench" / "trec.jsonl"
        path.parent.mkdir(parents=True)
        path.touch()
        assert "namespace-Pt" in LONG_CONTEXT.source(task, Snapshots(tmp_path)).where
        (tmp_path / "THUDM" / "LongBench").mkdir(parents=True)
        assert "THUDM" in LONG_CONTEXT.source(task, Snapshots(tmp_path)).where


def test_averages_are_those_that_the_tasks_of_a_run_make_up() -> None:
    two = request("InfiniteBench-longbook_qa_eng", "InfiniteBench-longbook_sum_eng")
    assert list(LONG_CONTEXT.averages(two)) == ["InfiniteBench 2 tasks"]
    assert not LONG_CONTEXT.averages(request("Passkey"))
    every = LONG_CONTEXT.averages(replace(request(), model=""))
    assert {len(its) for label, its in every.items() if label.endswith(" tasks")} == {2, 12, 14, 16, 21}


def test_the_listing_says_what_needs_no_data() -> None:
    listing = LONG_CONTEXT.listing(LONG_CONTEXT.tasks())
    cells = {row[0]: dict(zip(listing.headings, row, strict=True)) for row in listing.rows}
    assert cells["Passkey"]["dataset"] == ""
    assert cells["LongBench-trec"]["dataset"] == "THUDM/LongBench"
    assert cells["MMLU"]["rows"] == "14,042"
    assert cells["Needle"]["protocols"] == "flagembedding, qlora, official"


def test_every_main_score_has_a_range_beyond_which_no_interval_goes() -> None:
    ranges = {row.main_score: score_range(row.main_score) for row in rows()}
    assert ranges.pop("log_likelihood") == (-LARGEST, 0.0)
    assert set(ranges.values()) == {(0.0, 1.0)}
