"""The lineage of the paper's figure, and what cannot be meant."""

from pathlib import Path

import pytest

from r1kit import config
from r1kit.diagnose.settings import settings_of
from r1kit.errors import ConfigError
from r1kit.runs.stage_specs import (
    OWN_SAMPLES,
    STAGES,
    StageSpec,
    first_index,
    is_main,
    stage_order,
)
from r1kit.stages import pipeline
from r1kit.stages.cold_start import insert_answer_word
from r1kit.stages.context_length import sampled_lengths
from r1kit.stages.plan import StageSelection, plan
from r1kit.types import Json

WHOLE = config.load(Path(__file__).parents[2] / "recipes" / "rehearsal.toml")


def without(section: str) -> config.Recipe:
    return WHOLE.model_copy(update={section: None})


def test_the_lineage_is_the_papers() -> None:
    stages = {stage.name: stage for stage in plan(WHOLE)}
    assert [name for name in stages if "/" not in name] == [
        "base", "zero", "cold_start", "reasoning", "rejection", "final",
        "preference_eval",
    ]  # fmt: skip
    weights = {name: stage.weights_from for name, stage in stages.items()}
    assert weights["zero"] == weights["cold_start"] == weights["rejection"] == "base"
    assert weights["reasoning"] == "cold_start"
    assert weights["final"] == weights["preference/helpful"] == "rejection"
    assert stages["cold_start"].data_from == "zero"
    assert stages["rejection"].data_from == "reasoning"
    assert weights["distill/qwen"] == weights["distill/qwen/zero"] == "distill/qwen/base"
    assert stages["distill/qwen"].data_from == "rejection"
    assert weights["distill/qwen/base"] is None


def test_every_unit_has_a_entry_point() -> None:
    for stage in plan(WHOLE):
        assert callable(pipeline._entry_point(stage)), stage.entry_point


class LongerRecipe(config.Recipe):
    polish: config.RLConfig | None = None


def test_a_new_stage_is_a_line_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = StageSpec("polish", "reasoning", OWN_SAMPLES, "polish", 5_000_000, title="polish")
    monkeypatch.setitem(STAGES, "polish", spec)
    recipe = LongerRecipe(polish=config.RLConfig(max_tokens=2000), **dict(WHOLE))
    *_, polish = plan(recipe)
    assert (polish.name, polish.entry_point) == ("polish", "polish.run")
    assert (polish.weights_from, polish.data_from) == ("reasoning", OWN_SAMPLES)
    assert polish.needs == ("reasoning",)
    with pytest.raises(ConfigError, match="polish needs reasoning, .*add \\[reasoning\\]"):
        plan(recipe.model_copy(update={"reasoning": None, "rejection": None, "final": None,
                                       "distill": None, "ablations": ()}))  # fmt: skip
    assert sampled_lengths(recipe)["polish.max_tokens"] == 2000
    assert settings_of(recipe.model_dump(mode="json"), "polish").shown("max_tokens") == (
        "polish.max_tokens (now 2000)"
    )
    assert (is_main("polish"), first_index("polish")) == (True, 5_000_000)
    assert stage_order("polish") > stage_order("final")


def test_a_recipe_without_sections_ends_with_zero() -> None:
    tiny = config.parse({"name": "t", "tasks": [{"name": "equation"}]}, "t")
    assert [stage.name for stage in plan(tiny)] == ["base", "zero"]


def test_zero_is_left_out_by_its_steps() -> None:
    tasks = {"name": "t", "tasks": [{"name": "equation"}], "zero": {"n_steps": 0}}
    cold: Json = {**tasks, "cold_start": {"traces": "traces.jsonl"}, "reasoning": {}}
    stages = plan(config.parse(cold, "t"))
    assert [stage.name for stage in stages] == ["base", "cold_start", "reasoning"]
    assert "zero.max_tokens" not in sampled_lengths(config.parse(cold, "t"))
    with pytest.raises(ConfigError, match=r"cold_start needs zero, and zero\.n_steps is 0"):
        plan(config.parse({**cold, "cold_start": {}}, "t"))
    with pytest.raises(ConfigError, match=r"reasoning\.n_steps needs at least 1 \(it is 0\)"):
        config.parse({**cold, "reasoning": {"n_steps": 0}}, "t")
    with pytest.raises(ConfigError, match="again changes stage zero, which is not in the recipe"):
        plan(config.parse({**cold, "ablations": [{"name": "again", "of": "zero"}]}, "t"))
    none = {"name": "none", "of": "reasoning", "change": {"n_steps": 0}}
    with pytest.raises(ConfigError, match=r"Ablation none: n_steps needs at least 1 \(it is 0\)"):
        plan(config.parse({**cold, "ablations": [none]}, "t"))
    with pytest.raises(ConfigError, match="none has no steps"):
        plan(config.parse({**tasks, "zero": {}, "ablations": [none | {"of": "zero"}]}, "t"))


DISTILL = sorted((Path(__file__).parents[2] / "recipes" / "distill").glob("*.toml"))


@pytest.mark.parametrize("path", DISTILL, ids=lambda path: path.stem)
def test_the_papers_students_are_made_from_a_file_alone(path: Path) -> None:
    recipe = config.load(path)
    assert recipe.distill is not None
    [student] = recipe.distill.students
    stages = plan(recipe)
    assert [stage.name for stage in stages] == [
        f"distill/{student.name}/base",
        f"distill/{student.name}",
    ]
    assert (stages[1].data_from, stages[1].needs) == ("data/taught.jsonl", (stages[0].name,))
    rates = {"1.5b": 1e-4, "7b": 8e-5, "8b": 5e-5, "14b": 7e-5, "32b": 6e-5, "70b": 2e-5}
    sft = recipe.distill.sft  # the paper's table 6
    assert sft.optim.lr == rates[path.stem.split("-")[-1]]
    assert (sft.batch, sft.optim.schedule, sft.optim.final_lr) == (64, "cosine", 0.1)
    assert len(DISTILL) == 6


@pytest.mark.parametrize(
    ("gone", "needed"),
    [("cold_start", "cold_start"), ("reasoning", "reasoning"), ("rejection", "rejection")],
)
def test_a_gap_in_the_path_is_a_sentence(gone: str, needed: str) -> None:
    with pytest.raises(ConfigError, match=f"needs {needed}, .*add \\[{needed}\\]"):
        plan(without(gone))


def test_an_ablation_of_nothing_or_with_an_unknown_key_is_a_sentence() -> None:
    def ablated(**item: object) -> config.Recipe:
        return WHOLE.model_copy(update={"ablations": (config.AblationConfig(name="a", **item),)})

    with pytest.raises(
        ConfigError, match="Ablation a: unknown key 'n_stps' .did you mean 'n_steps'"
    ):
        plan(ablated(of="final", change={"n_stps": 4}))
    [made] = [u for u in plan(ablated(of="reasoning")) if u.name == "ablation/a"]
    assert made.weights_from == "cold_start"


def test_a_bare_box_gets_a_word_in_the_questions_language() -> None:
    def row(content: str, language: str) -> Json:
        turns = [
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": content, "reasoning_content": "r"},
        ]
        return {"messages": turns, "provenance": {"language": language}}

    output = {
        lang: insert_answer_word(row("\\boxed{5}", lang))["messages"][-1] for lang in ("en", "ko")
    }
    assert output["en"]["content"] == "Answer: \\boxed{5}"
    assert output["ko"]["content"] == "답: \\boxed{5}"
    assert output["en"]["reasoning_content"] == "r"
    assert insert_answer_word(row("x = \\boxed{5}", "en")) == row("x = \\boxed{5}", "en")


def test_which_stages_are_made_in_a_session() -> None:
    names = [stage.name for stage in plan(WHOLE)]

    def chosen(**expected: str) -> list[str]:
        made = StageSelection(**expected)
        made.check(names)
        return [name for name in names if name in made]

    assert chosen() == names
    assert chosen(last="zero") == ["base", "zero"]
    assert chosen(only="preference") == ["preference/helpful", "preference/harmless"]
    assert chosen(only="distill/qwen") == ["distill/qwen/base", "distill/qwen", "distill/qwen/zero"]
    assert chosen(only="distill", last="final") == []
    with pytest.raises(ConfigError, match="no stage 'zerro' for --to; there are base, zero"):
        chosen(last="zerro")
