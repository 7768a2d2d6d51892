"""Recipes that cannot be meant are refused with sentences that say what to do."""

import re
from pathlib import Path

import pytest

from r1kit.config import Recipe, load, parse
from r1kit.errors import ConfigError

MINIMAL = 'name = "t"\n[[tasks]]\nname = "equation"\n'


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return path


def refused(tmp_path: Path, text: str, overrides: list[str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text), overrides)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


def test_a_minimal_recipe_loads_and_overrides_are_toml(tmp_path: Path) -> None:
    recipe = load(
        write(tmp_path, MINIMAL),
        ["zero.n_steps=7", "zero.optim.lr=3e-4", "zero.loss_type=dapo", 'languages=["ko"]'],
    )
    assert recipe.zero.n_steps == 7
    assert recipe.zero.optim.lr == 3e-4
    assert recipe.zero.loss_type == "dapo"
    assert recipe.languages == ("ko",)


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("[zero]\nn_step = 5", "unknown key 'zero.n_step' (did you mean 'n_steps'?)."),
        ("[zero.optim]\nlearning = 5", "unknown key 'zero.optim.learning'"),
        ("[zeros]\nn_steps = 5", "unknown key 'zeros' (did you mean 'zero'?)"),
        ("[bench]\nn_completions = 2", "unknown key 'bench' (it is called 'eval' now)."),
        (
            "[compute]\nmax_rows = 8",
            "unknown key 'compute.max_rows' (it is called 'sampler.max_num_seqs' now).",
        ),
        (
            "[eval]\nsamples = 2",
            "unknown key 'eval.samples' (it is called 'eval.n_completions' now).",
        ),
        ("[zero]\nclip_high = 0.3", "'zero.clip_high' (it is called 'epsilon_high' now)."),
        ("[sampler]\nmax_rows = 8", "'sampler.max_rows' (it is called 'max_num_seqs' now)."),
        ("[compute]\nkl_beta = 8", "known keys:"),
        ("[sampler]\nkind = 'vlm'", "sampler.kind needs 'local' or 'vllm' (it is \"vlm\")."),
        ("[compute]\nqqqq = 1", "known keys:"),
        ('[zero]\nn_steps = "many"', 'zero.n_steps needs a whole number (it is "many").'),
        ("[zero]\nn_completions = 1", "zero.n_completions needs at least 2 (it is 1)."),
        ('[zero]\nloss_type = "ppo"', "zero.loss_type needs 'grpo', 'dr_grpo'"),
        ("[zero]\nn_steps = 2.5", "zero.n_steps needs a whole number (it is 2.5)."),
        ("[zero]\nn_steps = true", "zero.n_steps: true and false are no numbers."),
        ("[zero.optim]\nlr = nan", "zero.optim.lr needs a finite number"),
        ("[zero.optim]\nbetas = [0.9]", "zero.optim.betas needs 2 numbers."),
        ("[zero.optim]\nbetas = 0.9", "needs a list: write betas = [0.9, 0.95] (it is 0.9)."),
        ("[model]\npath = 5", "model.path needs a text in quotes (it is 5)."),
        (
            "[eval]\n[compute]\nn_processes = 'two'",
            "needs a whole number or 'auto' (it is \"two\").",
        ),
        ("[[eval]]\nn_completions = 2", "eval needs a section: write [eval] and its keys below"),
        ("[showcase]\nquestion = '1?'", "showcase needs a list: write [[showcase]] and its keys"),
        (
            "[[distill.students]]\nname = 'A b'",
            "entry 1 of distill.students, name needs small letters",
        ),
        (
            "[[distill.students]]\nname = 5",
            "entry 1 of distill.students, name needs a text in quotes",
        ),
        ("[distill.students]\nname = 'a'", "write [[distill.students]] and its keys below"),
        ("[model]\nhidden = 100\nn_heads = 3", "hidden (100) must be an even multiple of n_heads"),
        ("[model]\nn_kv_heads = 3", "must be a multiple of n_kv_heads (3)"),
    ],
)
def test_a_key_that_cannot_be_meant_is_named(tmp_path: Path, extra: str, expected: str) -> None:
    message = refused(tmp_path, f"{MINIMAL}{extra}\n")
    assert expected in message
    assert "recipe.toml" in message


def test_an_unknown_key_in_a_list_names_its_nearest(tmp_path: Path) -> None:
    message = refused(tmp_path, 'name = "t"\n[[tasks]]\nname = "equation"\nlevels = 2\n')
    assert "did you mean 'level'?" in message


def test_missing_keys_are_named(tmp_path: Path) -> None:
    message = refused(tmp_path, '[[tasks]]\nname = "equation"\n')
    assert "'name' is missing: write name = \"...\"." in message
    message = refused(tmp_path, 'name = "t"\n')
    assert "'tasks' is missing: write [[tasks]] and its keys below." in message


def test_several_errors_are_told_together(tmp_path: Path) -> None:
    message = refused(tmp_path, f"{MINIMAL}[zero]\nn_step = 5\ntemperature = 0\n")
    assert "n_steps" in message
    assert "zero.temperature" in message


def test_files_that_are_not_recipes(tmp_path: Path) -> None:
    assert "not valid TOML" in refused(tmp_path, "name = ")
    (tmp_path / "bytes.toml").write_bytes(b"name = '\xe9'")
    with pytest.raises(
        ConfigError, match=r"not text in UTF-8 \(byte 9 is 0xe9\); save it as UTF-8"
    ):
        load(tmp_path / "bytes.toml")
    (tmp_path / "zeros.toml").write_bytes(b"name = '\x00'")
    with pytest.raises(ConfigError, match="not a text file"):
        load(tmp_path / "zeros.toml")
    with pytest.raises(ConfigError, match="There is no recipe at"):
        load(tmp_path / "nothing.toml")
    with pytest.raises(ConfigError, match="is a folder"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("zero.n_steps", "--set takes key=value"),
        ("=5", "--set takes key=value"),
        ("name.x=5", "name is not a section"),
        ("zero.n_stepz=5", "did you mean 'n_steps'?"),
        ("zero.n_steps=abc", 'zero.n_steps needs a whole number (it is "abc").'),
        ("tasks=[]", "tasks needs at least 1 entry: write [[tasks]]"),
        ('tasks=["equation"]', "entry 1 of tasks needs a section: write [[tasks]]"),
        ('name=""', "cannot be the name of a folder"),
        ("name=a/b", "cannot be the name of a folder"),
        ("tasks.level=2", "tasks is a list of sections; say which one, from 0 on: tasks.0.level"),
        ("tasks.9.level=2", "9 is not a section"),
        ("tasks.first.level=2", "first is not a section"),
    ],
)
def test_a_bad_override_is_a_sentence(tmp_path: Path, override: str, expected: str) -> None:
    assert expected in refused(tmp_path, MINIMAL, [override])


def test_an_override_reaches_into_a_list_of_sections(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(f'{MINIMAL}[[tasks]]\nname = "series"\n', encoding="utf-8")
    recipe = load(file, ["tasks.1.level=3"])
    assert [task.level for task in recipe.tasks] == [1, 3]


def test_the_hash_sees_what_decides_the_result_and_nothing_else() -> None:
    def recipe(**extra: object) -> Recipe:
        return parse({"name": "t", "tasks": [{"name": "equation"}], **extra}, "t")

    same = [
        recipe(),
        recipe(compute={"threads": 2}),
        recipe(sampler={"max_num_seqs": 8}),
        recipe(cost={"core_hour": 1.0}),
    ]
    assert len({item.hash() for item in same}) == 1
    assert recipe(seed=1).hash() != recipe().hash()
    assert recipe(zero={"n_steps": 5}).hash() != recipe().hash()


def test_a_table_written_in_part_keeps_the_defaults_of_its_stage() -> None:
    recipe = parse(
        {
            "name": "t",
            "tasks": [{"name": "equation"}],
            "base": {"optim": {"lr": 1e-3}},
            "zero": {"optim": {"warmup_steps": 3}},
        },
        "t",
    )
    assert (recipe.base.optim.optimizer, recipe.base.optim.lr) == ("muon", 1e-3)
    assert recipe.base.optim.schedule == "wsd"
    assert (recipe.zero.optim.optimizer, recipe.zero.optim.schedule) == ("adamw", "constant")


def test_there_is_at_least_one_process() -> None:
    with pytest.raises(ConfigError, match="n_processes"):
        parse({"name": "t", "tasks": [{"name": "series"}], "compute": {"n_processes": 0}}, "t")


@pytest.mark.parametrize(
    "data",
    [
        MINIMAL.encode("utf-8-sig"),
        MINIMAL.encode("utf-16"),
        MINIMAL.replace("\n", "\r\n").encode("utf-8-sig"),
    ],
    ids=["byte order mark", "UTF-16", "CRLF"],
)
def test_a_recipe_written_on_windows_is_read(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "windows.toml").write_bytes(data)
    assert load(tmp_path / "windows.toml") == load(write(tmp_path, MINIMAL))


def test_what_is_near_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, MINIMAL)
    for value, near in (
        ("recipe.tml", "recipe.toml"),
        ("recipes/tiny.toml", "tiny"),
        ("smok", "smoke"),
        ("qwen2.5-14b", "distill/qwen2.5-14b"),
    ):
        with pytest.raises(ConfigError) as caught:
            load(Path(value))
        assert f"There is no recipe at {value}; did you mean {near}? `r1 recipes`" in str(
            caught.value
        )


def test_keys_that_came_later_leave_the_hash_of_older_recipes(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL)
    before = load(path).hash()
    assert before == "34e7d47f106bf0c8"
    assert before == load(path, ["zero.kl_estimator=k3"]).hash()
    changed = ["zero.kl_estimator=unbiased"], ["lora.r=16"], ["lora.r=8"]
    assert len({load(path, overrides).hash() for overrides in changed} | {before}) == 4
    assert before == load(path, ["zero.eval_steps=0"]).hash()
    assert before != load(path, ["zero.eval_steps=5"]).hash()
    message = refused(tmp_path, f"{MINIMAL}[zero]\nload_best_model_at_end = true\n")
    assert "load_best_model_at_end needs evaluations to choose from; set eval_steps" in message


@pytest.mark.parametrize(
    "section", ["zero", "cold_start.sft", "distill.twin", "distill.sft", "preference"]
)
def test_muon_does_not_train_adapters(tmp_path: Path, section: str) -> None:
    text = f'{MINIMAL}[lora]\n[{section}.optim]\noptimizer = "muon"\n'
    message = refused(tmp_path, text)
    assert f'{section}.optim.optimizer is "muon"' in message
    assert "leave [lora] out" in message
    load(write(tmp_path, text.replace("[lora]\n", "")))
    load(write(tmp_path, text.replace("muon", "adamw")))


def parsed(**extra: object) -> Recipe:
    return parse({"name": "t", "tasks": [{"name": "equation"}], **extra}, "t")


def test_servers_are_for_vllm() -> None:
    sampler = {"kind": "vllm", "urls": ["http://gpu1:8000"]}
    assert parsed(sampler=sampler, zero={"max_staleness": 1}).zero.max_staleness == 1
    cases: list[tuple[dict[str, object], str]] = [
        ({"sampler": {"urls": ["http://gpu1:8000"]}}, 'set kind = "vllm"'),
        ({"sampler": sampler | {"vllm_args": "--seed 1"}}, "names servers that run already"),
        ({"sampler": {"kind": "vllm", "urls": ["http://me:secret@gpu1"]}}, "urls"),
        ({"zero": {"max_staleness": 1}}, "zero.max_staleness is 1, but the local engine"),
    ]
    for changes, words in cases:
        with pytest.raises(ConfigError, match=re.escape(words)):
            parsed(**changes)


def test_settings_for_other_samplers_leave_the_hash_of_older_recipes() -> None:
    at_default = {"importance_sampling_mode": "auto", "max_staleness": 0}
    assert parsed(zero=at_default).hash() == parsed().hash()
    assert parsed(zero={"importance_sampling_mode": "none"}).hash() != parsed().hash()
