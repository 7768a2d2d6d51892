"""The result of an evaluation, `result.json`: enough to compare it and to run it again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from r1kit.errors import ConfigError, RunError
from r1kit.evals import scores
from r1kit.evals.evaluate import EvalOptions, Evaluation, MeasuredBenchmark
from r1kit.evals.extra_scores import EXTRA_SCORES, codeforces_rating
from r1kit.evals.load import short_hash
from r1kit.evals.open_model import EvalModel
from r1kit.evals.scores import GradedProblem
from r1kit.files.atomic import replace_file
from r1kit.files.untrusted import to_json
from r1kit.runs.provenance import session
from r1kit.verify.statements.policy import POLICIES

RESULT = "result.json"
VERSION = 1

EvalRecord = dict[str, Any]


def result_of(
    evaluation: Evaluation, options: EvalOptions, model: EvalModel, contamination: EvalRecord
) -> EvalRecord:
    """Return the content of result.json. All but `session` is the same for two runs of one seed."""
    return {
        "kind": "eval",
        "version": VERSION,
        "model": model.facts,
        "opens_thinking": model.opens_thinking,
        "options": options.as_record(),
        "benchmarks": {
            measurement.name: benchmark_record(
                measurement, options, model, contamination.get(measurement.name)
            )
            for measurement in evaluation.measurements
        },
        "missing": evaluation.missing,
        "session": session()
        | {"seconds": round(evaluation.seconds, 3), "n_sampled": evaluation.n_sampled},
    }


def benchmark_record(
    measurement: MeasuredBenchmark,
    options: EvalOptions,
    model: EvalModel,
    contamination: EvalRecord | None,
) -> EvalRecord:
    """Return the protocol, the scores and the problems of one benchmark."""
    problems = measurement.graded()
    counts = scores.counts_of(problems)
    values = scores.scores(problems, measurement.k, measurement.grader.has_votes)
    name, is_own = measurement.name, measurement.grader.name == measurement.eval_set.spec.grader
    pairs = list(zip(measurement.problems, problems, strict=True))
    extra = EXTRA_SCORES[name](pairs) if is_own and name in EXTRA_SCORES else {}
    return {
        "title": measurement.eval_set.spec.title,
        "protocol": protocol_of(measurement, options, model),
        "prompt_example": model.source.show_prompt(measurement.problems[0]),
        "scores": scores.as_json(values),
        "extra_scores": scores.as_json(extra),
        "rating": codeforces_rating(pairs, options.data) if name == "codeforces" else None,
        "by_policy": _by_policy(measurement),
        "resampling_stderr": scores.resampling_stderr(problems),
        "facts": scores.as_json(scores.facts_of(problems)),
        "counts": counts,
        "n_missing": measurement.n_total - sum(len(p.samples) for p in problems),
        "by_subject": scores.by_subject(problems),
        "budget_curve": scores.budget_curve(problems),
        "lengths": scores.length_histogram(problems),
        "contamination": contamination,
        "problems": [problem_record(problem) for problem in problems],
    }


def _by_policy(measurement: MeasuredBenchmark) -> EvalRecord:
    """Return pass@1 by the strict and the lenient policy; {} for a grader without policies."""
    if not measurement.grader.has_policies:
        return {}
    estimates = {
        policy: scores.estimate(problem.rate for problem in measurement.graded(policy))
        for policy in POLICIES
    }
    return scores.as_json({name: value for name, value in estimates.items() if value})


def protocol_of(
    measurement: MeasuredBenchmark, options: EvalOptions, model: EvalModel
) -> dict[str, Any]:
    """Return everything on which the score of a benchmark depends, by name."""
    eval_set, protocol, facts = measurement.eval_set, options.protocol, model.facts
    spec = eval_set.spec
    return {
        "protocol": protocol.title,
        "temperature": protocol.temperature,
        "top_p": protocol.top_p,
        "k": measurement.k,
        "max_tokens": protocol.max_tokens,
        "context": facts.get("context"),
        "system": protocol.system,
        "opens_thinking": model.opens_thinking,
        "template": protocol.template(spec.name, spec.kind),
        "prompts_hash": short_hash(
            *sorted(m.content for p in measurement.problems for m in p.messages)
        ),
        "source": eval_set.source,
        "data_hash": eval_set.data_hash,
        "n_problems": len(measurement.problems),
        "n_rows": len(eval_set.problems),
        "n_published": spec.n_rows,
        "n_left_out": eval_set.n_left_out,
        "n_unusable_rows": len(eval_set.faults),
        "grader": str(measurement.grader),
        "policy": protocol.policy if measurement.grader.has_policies else None,
        "judge": measurement.grader.judge or None,
        "seed": options.seed,
        **facts,
    }


def protocol_line(record: EvalRecord) -> str:
    """Return the protocol of a benchmark in one line, as it belongs to its score."""
    p, counts = record["protocol"], record["counts"]
    context = f" (context {p['context']:,})" if p.get("context") else ""
    size = f"{p['n_problems']:,} of {p['n_rows']:,} problems"
    size += (
        f" ({p['n_published']:,} published)" if p["n_published"] not in (None, p["n_rows"]) else ""
    )
    unusable = f", {p['n_unusable_rows']} rows unusable" if p["n_unusable_rows"] else ""
    thinking = "thinking opened by the prompt" if p["opens_thinking"] else "thinking not opened"
    if p["engine"] == "endpoint":
        thinking = "thinking as the server has it"
    system = f"system prompt {p['system']!r}" if p["system"] else "no system prompt"
    hashes = f"{p['model_hash']}" if p.get("model_hash") else "no hash"
    template = f", template {p['template_hash'][:8]}" if p.get("template_hash") else ""
    engine = p.get("engine_version") or p["engine"]
    parts = [
        p["protocol"],
        f"T {p['temperature']:g}, top-p {p['top_p']:g}, k {p['k']}, seed {p['seed']}",
        f"at most {p['max_tokens']:,} tokens{context}",
        f"{thinking}, {system}",
        f"{size}{unusable}",
        f"data {p['source']} {p['data_hash'][:8]}, prompts {p['prompts_hash'][:8]}",
        f"grader {p['grader']}" + (f", {p['policy']}" if p.get("policy") else ""),
        f"truncated {counts['truncated']}, unanswered {counts['no_answer']}, undecided "
        f"{counts['undecided']}",
        f"engine {engine}",
        f"model {p['model']} ({hashes}{template})",
    ]
    return " · ".join(parts)


def problem_record(problem: GradedProblem) -> EvalRecord:
    """Return a problem's numbers: what a paired comparison needs."""
    decided = problem.decided
    return {
        "id": problem.id,
        "hash": problem.hash,
        "subject": problem.subject,
        "n": len(decided),
        "n_right": sum(sample.score for sample in decided),
        "vote": scores.vote(decided),
        "tokens": [sample.n_tokens for sample in problem.samples],
    }


def write_result(out: Path, result: EvalRecord, name: str = RESULT) -> None:
    """Write result.json atomically."""
    replace_file(out / name, to_json(result, indent=1) + "\n")


def read_result(path: Path) -> EvalRecord:
    """Read the result in a folder, or a file. Raises ConfigError or RunError if it is not one."""
    file = path / RESULT if path.is_dir() else path
    try:
        record = json.loads(file.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"There is no result at {path} ({error.strerror}); name a folder that `r1 eval` wrote."
        ) from None
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or record.get("kind") != "eval":
        raise RunError(f"{file} is no result of r1 eval; name a folder that it wrote.")
    if record.get("version") != VERSION:
        raise RunError(
            f"{file} was written by another version of r1kit; give the `r1 eval` command again, "
            "which samples nothing that is there."
        )
    return record


def names_of(results: Sequence[EvalRecord]) -> list[str]:
    """Return the benchmarks that all results have, in the order of the first."""
    first, *rest = (result["benchmarks"] for result in results)
    return [name for name in first if all(name in other for other in rest)]
