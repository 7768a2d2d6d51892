"""The texts of findings in English, Korean and Chinese.

A finding has the texts `title`, `seen`, and where there is only one of them `cause` and `action`.
Names of settings and metrics stay as they are. No Korean particle that would depend on the last
sound follows a variable word.
"""

from __future__ import annotations

Texts = dict[str, str]

FINDING_TEXTS: dict[str, Texts] = {
    "en": {
        "healthy.title": "Healthy",
        "healthy.seen": "{n} steps, none of {n_rules} known troubles.",
        "broken.title": "Numbers broke",
        "broken.seen": "{metric} is not a number from step {step} on.",
        "broken.cause": "The learning rate is too high, or 16-bit numbers overflowed.",
        "unlearned.title": "Nothing was learned",
        "unlearned.seen": "In {n} steps all completions of each group had the same reward, so no "
                          "token was learned from and the weights did not change.",
        "unlearned.undecided":
            "The verifier decided no completion, and undecided ones are dropped.",
        "unlearned.easy": "The problems are too easy: all completions of a group are right.",
        "no_gradient.title": "Nothing was learned",
        "no_gradient.seen":
            "The gradient was 0 in all {n} steps, so the weights did not change.",
        "no_gradient.cause": "No token of the examples counts in the loss.",
        "no_gradient.action": "Read the conversations that the stage learns from: is the last turn "
                              "of each empty?",
        "no_reward.title": "No reward",
        "no_reward.seen": "Accuracy is {accuracy:.1%} over the last {n} steps.",
        "no_reward.cut":
            "{share:.0%} of the completions are cut off at max_tokens before they finish.",
        "no_reward.format":
            "{share:.0%} of the completions have the format: no answer is found to check.",
        "no_reward.weak": "The base is too weak for these problems: it is never right, so nothing "
                          "is rewarded.",
        "few_groups.title": "Few groups teach",
        "few_groups.seen":
            "In {share:.0%} of the groups all rewards are equal; such groups teach nothing.",
        "few_groups.easy":
            "The problems have become easy: all completions of a group are right.",
        "few_groups.unsuited": "Most problems are too easy or too hard: the completions of a group "
                               "score alike.",
        "hacked.title": "The judge is hacked",
        "hacked.seen": "The judge's score rose from {before:.2f} to {now:.2f} while right answers "
                       "fell from {truth_before:.1%} to {truth:.1%}.",
        "hacked.cause":
            "The policy has found completions that the judge scores high and nobody wants.",
        "collapse.title": "Collapse",
        "collapse.seen": "Accuracy fell from {best:.1%} (around step {step}) to {now:.1%}.",
        "collapse.cause": "The steps were too large for the policy: it left the region its samples "
                          "describe.",
        "entropy.title": "Nothing left to explore",
        "entropy.seen": "Entropy fell from {start:.3f} to {now:.3f} nats per token.",
        "entropy.cause": "The policy writes one completion with certainty; groups become equal, "
                         "learning stops.",
        "cut_off.title": "Completions are cut off",
        "cut_off.seen": "{share:.0%} of the completions reach max_tokens ({limit}); the mean is "
                        "{length:.0f} tokens.",
        "cut_off.cause": "Thinking has outgrown its limit, or the model never ends its text.",
        "length.title": "Length runs away",
        "length.seen": "In the second half completions grew from {before:.0f} to {now:.0f} tokens, "
                       "accuracy by {gain:+.1f} points.",
        "length.cause":
            "Longer completions are no longer better ones; the loss may favour length.",
        "gives_up.title": "It learns to give up",
        "gives_up.seen": "Completions shrank from {before:.0f} to {now:.0f} tokens at "
                         "{accuracy:.1%} accuracy.",
        "gives_up.cause":
            "Longer thinking is not rewarded: the base does not recognise a right result.",
        "kl.title": "KL blew up",
        "kl.seen": "The KL to the reference reached {largest:.3g} nats per token.",
        "kl.cause": "Rare tokens became far likelier than under the reference, or the steps are "
                    "too large.",
        "mismatch.title": "Sampler and learner disagree",
        "mismatch.seen": "Their log-probabilities of the same tokens differ by {difference:.2g} on "
                         "average (expected below {limit:g}).",
        "mismatch.cause": "Old weights in the sampler, another precision, or another distribution "
                          "than is scored.",
        "mismatch.defect":
            "Please report it with the recipe: both read the same weights, so this is a defect.",
        "mismatch.vllm":
            "Give vLLM the dtype of the recipe; {setting} corrects what remains.",
        "spikes.title": "Gradient spikes",
        "spikes.seen": "{n_spikes} of {n} steps had a gradient norm over ten times the median "
                       "({median:.2g}); the largest was {largest:.2g}.",
        "spikes.cause": "Single examples dominate a step.",
        "spikes.clipped": "Clipping contained them.",
        "undecided.title": "The verifier could not decide",
        "undecided.seen": "{n:.0f} completions ({share:.1%}) were dropped without a verdict.",
        "undecided.cause": "The verifier ran out of time, or met answers it cannot read.",
        "undecided.action": "Read their `why` in samples.jsonl and fix the task's verifier.",
        "zero_loss.title": "A loss near 0 is normal",
        "zero_loss.seen": "The loss stayed within ±{largest:.2g}.",
        "zero_loss.cause": "Before the first update it is minus a mean of advantages, which are "
                           "centred on 0 in each group; its gradient is not near 0.",
        "zero_loss.action": "Watch reward, length and entropy instead.",
        "flat_loss.title": "It does not learn",
        "flat_loss.seen": "The loss went from {start:.2f} to {now:.2f} in {n} steps.",
        "flat_loss.cause": "The learning rate does not suit the model.",
        "flat_loss.action": "Try {rates} three times lower, then three times higher.",
        "do.lower_rates":
            "Lower {rates} by a factor of three, and train the stage again.",
        "do.easier": "ask for easier problems", "do.harder": "use harder problems",
        "do.other": "use problems of another difficulty",
        "do.lower_level": "lower the level of [[tasks]] (now {level})",
        "do.raise_level": "raise the level of [[tasks]] (now {level})",
        "do.stronger": "start from a stronger base (model.path)",
        "do.raise": "raise {setting}", "do.lower": "lower {setting}",
        "do.raise_to": "raise {setting} to {value}", "do.set": "set {setting} = {value}",
        "do.loss": 'set {setting} = "dr_grpo" or "dapo"',
        "do.penalty": "set {setting} to make length cost something",
        "do.stop": "stop here", "do.stop_earlier": "stop earlier ({setting})",
        "do.judge": "train the judge on such completions",
        "join.comma": ", ", "join.or": ", or ", "join.and": " and ", "join.advice": "{0}.",
        "setting.now": "{name} (now {value})",
        "setting.change": "{name} ({before:g} → {after:.1g})",
        "setting.of": "{key} of [[{section}]] {entry}",
    },
    "ko": {
        "healthy.title": "정상",
        "healthy.seen": "{n}스텝 동안 알려진 문제 {n_rules}가지가 하나도 나타나지 않았다.",
        "broken.title": "NaN 또는 무한대 발생",
        "broken.seen": "{step}스텝부터 {metric} 값이 NaN이거나 무한대이다.",
        "broken.cause": "학습률이 너무 높거나, 16비트 연산에서 오버플로가 났다.",
        "unlearned.title": "학습된 것이 없음",
        "unlearned.seen": "{n}스텝 내내 모든 그룹에서 답변들의 보상이 똑같았다. 그래서 학습에 쓰인 "
                          "토큰이 없고, 가중치도 바뀌지 않았다.",
        "unlearned.undecided":
            "검증기가 판정한 답변이 하나도 없다. 판정하지 못한 답변은 학습에서 빠진다.",
        "unlearned.easy": "문제가 너무 쉬워서 그룹의 답변이 모두 정답이다.",
        "no_gradient.title": "학습된 것이 없음",
        "no_gradient.seen": "{n}스텝 모두 그래디언트가 0이어서 가중치가 바뀌지 않았다.",
        "no_gradient.cause": "학습 예제에 손실 계산에 들어가는 토큰이 하나도 없다.",
        "no_gradient.action": "이 단계의 학습 대화를 열어, 마지막 턴이 모두 비어 있지 않은지 "
                              "확인한다.",
        "no_reward.title": "보상을 받지 못함",
        "no_reward.seen": "최근 {n}스텝의 정답률이 {accuracy:.1%}이다.",
        "no_reward.cut": "답변의 {share:.0%}가 끝맺기 전에 max_tokens에서 잘린다.",
        "no_reward.format":
            "형식을 지킨 답변이 {share:.0%}뿐이라, 채점할 최종 답을 찾지 못한다.",
        "no_reward.weak": "베이스 모델에 비해 문제가 너무 어렵다. 정답이 나오지 않으니 보상도 "
                          "없다.",
        "few_groups.title": "학습에 기여하는 그룹이 적음",
        "few_groups.seen":
            "그룹의 {share:.0%}에서 보상이 모두 같다. 그런 그룹에서는 배울 것이 없다.",
        "few_groups.easy": "문제가 이제 쉬워져서 그룹의 답변이 모두 정답이다.",
        "few_groups.unsuited": "문제 대부분이 너무 쉽거나 너무 어려워서, 그룹 안에서 점수가 "
                               "갈리지 않는다.",
        "hacked.title": "보상 해킹",
        "hacked.seen": "심판 점수는 올랐는데({before:.2f} → {now:.2f}) 정답률은 떨어졌다"
                       "({truth_before:.1%} → {truth:.1%}).",
        "hacked.cause": "심판에게는 높은 점수를 받지만 쓸모는 없는 답변을 정책이 찾아냈다.",
        "collapse.title": "성능 붕괴",
        "collapse.seen": "정답률이 {best:.1%}({step}스텝 무렵)에서 {now:.1%}로 떨어졌다.",
        "collapse.cause": "업데이트 폭이 너무 커서, 정책이 샘플로 추정할 수 있는 범위를 벗어났다.",
        "entropy.title": "탐색할 여지가 없음",
        "entropy.seen": "엔트로피가 토큰당 {start:.3f}nat에서 {now:.3f}nat로 떨어졌다.",
        "entropy.cause": "정책이 거의 같은 답변만 낸다. 그룹 안에서 차이가 사라지면 학습도 멈춘다.",
        "cut_off.title": "답변이 잘림",
        "cut_off.seen": "답변의 {share:.0%}가 max_tokens({limit})에 걸린다. 평균 길이는 "
                        "{length:.0f}토큰이다.",
        "cut_off.cause": "생각이 한도보다 길어졌거나, 모델이 글을 끝맺지 못한다.",
        "length.title": "길이 폭주",
        "length.seen": "후반부에 답변은 {before:.0f}토큰에서 {now:.0f}토큰으로 길어졌지만, 정답률 "
                       "변화는 {gain:+.1f}%p에 그쳤다.",
        "length.cause":
            "답변이 길어져도 더 나아지지 않는다. 손실 함수가 긴 답변에 유리한 것일 수 있다.",
        "gives_up.title": "일찍 포기하도록 학습됨",
        "gives_up.seen": "정답률이 {accuracy:.1%}인데도 답변이 {before:.0f}토큰에서 "
                         "{now:.0f}토큰으로 짧아졌다.",
        "gives_up.cause":
            "베이스 모델이 옳은 결과를 알아보지 못해, 오래 생각해도 보상을 받지 못한다.",
        "kl.title": "KL 폭증",
        "kl.seen": "참조 모델에 대한 KL이 토큰당 {largest:.3g}nat까지 치솟았다.",
        "kl.cause": "드물게 나오던 토큰의 확률이 참조 모델보다 훨씬 커졌거나, 업데이트 폭이 너무 "
                    "크다.",
        "mismatch.title": "샘플러와 학습기가 어긋남",
        "mismatch.seen": "같은 토큰의 로그 확률이 평균 {difference:.2g}만큼 다르다({limit:g} "
                         "미만이어야 한다).",
        "mismatch.cause": "샘플러의 가중치가 최신이 아니거나, 정밀도가 다르거나, 샘플링 분포와 "
                          "확률을 계산하는 분포가 다르다.",
        "mismatch.defect": "둘은 같은 가중치를 읽으므로 이 차이는 결함이다. 레시피를 첨부해 "
                           "제보해 주기 바란다.",
        "mismatch.vllm":
            "vLLM의 dtype을 레시피와 같게 맞춘다. 남은 차이는 {setting} 설정이 보정한다.",
        "spikes.title": "그래디언트 급등",
        "spikes.seen": "{n}스텝 중 {n_spikes}스텝에서 그래디언트 노름이 중앙값({median:.2g})의 "
                       "10배를 넘었다. 최댓값은 {largest:.2g}이다.",
        "spikes.cause": "예제 한두 개가 스텝 전체를 좌우한다.",
        "spikes.clipped": "그래디언트 클리핑이 막아 주었다.",
        "undecided.title": "검증기가 판정하지 못함",
        "undecided.seen": "답변 {n:.0f}개({share:.1%})가 판정 없이 버려졌다.",
        "undecided.cause": "검증기가 시간 제한에 걸렸거나, 해석하지 못하는 답을 만났다.",
        "undecided.action": "samples.jsonl에서 해당 답변의 `why`를 읽고 과제의 검증기를 고친다.",
        "zero_loss.title": "손실이 0에 가까운 것은 정상",
        "zero_loss.seen": "손실이 ±{largest:.2g} 안에 머물렀다.",
        "zero_loss.cause": "첫 업데이트 전의 손실은 어드밴티지 평균의 부호를 바꾼 값이고, "
                           "어드밴티지는 그룹마다 평균이 0이다. 그래디언트는 0에 가깝지 않다.",
        "zero_loss.action": "손실 대신 보상, 길이, 엔트로피를 본다.",
        "flat_loss.title": "학습이 되지 않음",
        "flat_loss.seen": "{n}스텝 동안 손실이 거의 줄지 않았다({start:.2f} → {now:.2f}).",
        "flat_loss.cause": "학습률이 모델에 맞지 않는다.",
        "flat_loss.action": "{rates} 값을 먼저 3분의 1로 낮춰 보고, 그다음 3배로 높여 본다.",
        "do.lower_rates": "{rates} 값을 3분의 1로 낮추고 이 단계를 다시 학습한다.",
        "do.easier": "더 쉬운 문제 쓰기", "do.harder": "더 어려운 문제 쓰기",
        "do.other": "난이도가 다른 문제 쓰기",
        "do.lower_level": "[[tasks]]의 level 낮추기(현재 {level})",
        "do.raise_level": "[[tasks]]의 level 올리기(현재 {level})",
        "do.stronger": "더 강한 베이스 모델로 시작하기(model.path)",
        "do.raise": "{setting} 올리기", "do.lower": "{setting} 낮추기",
        "do.raise_to": "{setting} 값을 {value} 수준으로 올리기",
        "do.set": "{setting} = {value} 설정하기",
        "do.loss": '{setting} = "dr_grpo" 또는 "dapo" 설정하기',
        "do.penalty": "{setting} 설정으로 긴 답변에 벌점 주기",
        "do.stop": "여기서 멈추기", "do.stop_earlier": "더 일찍 멈추기({setting})",
        "do.judge": "그런 답변으로 심판을 다시 학습하기",
        "join.comma": ", ", "join.or": " 또는 ", "join.and": ", ",
        "join.advice": "해결 방법: {0}.",
        "setting.now": "{name}(현재 {value})",
        "setting.change": "{name}({before:g} → {after:.1g})",
        "setting.of": "[[{section}]] {entry}의 {key}",
    },
    "zh": {
        "healthy.title": "正常",
        "healthy.seen": "共 {n} 步，{n_rules} 种已知问题均未出现。",
        "broken.title": "出现 NaN 或无穷大",
        "broken.seen": "从第 {step} 步起，{metric} 变为 NaN 或无穷大。",
        "broken.cause": "学习率过高，或 16 位浮点数溢出。",
        "unlearned.title": "什么也没学到",
        "unlearned.seen": "{n} 步里每一组回答的奖励都完全相同，没有词元参与学习，权重也没有变化。",
        "unlearned.undecided": "验证器没能判定任何回答，而未判定的回答会被丢弃。",
        "unlearned.easy": "题目太简单，同组回答全部正确。",
        "no_gradient.title": "什么也没学到",
        "no_gradient.seen": "全部 {n} 步的梯度都是 0，权重没有变化。",
        "no_gradient.cause": "训练样本中没有任何词元计入损失。",
        "no_gradient.action": "检查本阶段的训练对话：最后一轮是不是都为空？",
        "no_reward.title": "得不到奖励",
        "no_reward.seen": "最近 {n} 步的正确率为 {accuracy:.1%}。",
        "no_reward.cut": "{share:.0%} 的回答没写完就在 max_tokens 处被截断。",
        "no_reward.format": "只有 {share:.0%} 的回答符合格式，找不到可供判定的答案。",
        "no_reward.weak": "题目对基座来说太难：一次也答不对，也就得不到奖励。",
        "few_groups.title": "对学习有贡献的组太少",
        "few_groups.seen": "{share:.0%} 的组内奖励全部相同，从这些组学不到东西。",
        "few_groups.easy": "题目已经变得简单，同组回答全部正确。",
        "few_groups.unsuited": "多数题目过易或过难，同组回答的得分拉不开差距。",
        "hacked.title": "奖励作弊（reward hacking）",
        "hacked.seen": "评判分数从 {before:.2f} 升至 {now:.2f}，正确率却从 {truth_before:.1%} "
                       "降至 {truth:.1%}。",
        "hacked.cause": "策略找到了能骗取评判高分、却没有用处的回答。",
        "collapse.title": "训练崩溃",
        "collapse.seen": "正确率从 {best:.1%}（约第 {step} 步）跌至 {now:.1%}。",
        "collapse.cause": "更新幅度过大，策略偏离了样本所能反映的范围。",
        "entropy.title": "失去探索能力",
        "entropy.seen": "每个词元的熵从 {start:.3f} nat 降至 {now:.3f} nat。",
        "entropy.cause": "策略几乎只写同一种回答，组内差异消失，学习随之停止。",
        "cut_off.title": "回答被截断",
        "cut_off.seen": "{share:.0%} 的回答达到 max_tokens（{limit}），平均长度为 {length:.0f} "
                        "个词元。",
        "cut_off.cause": "思考长度已超出上限，或者模型不会结束输出。",
        "length.title": "长度失控",
        "length.seen": "后半程回答从 {before:.0f} 个词元增至 {now:.0f} 个，正确率仅变化 "
                       "{gain:+.1f} 个百分点。",
        "length.cause": "回答变长却没有变好，损失函数可能偏向长回答。",
        "gives_up.title": "学会了放弃",
        "gives_up.seen": "正确率只有 {accuracy:.1%}，回答却从 {before:.0f} 个词元缩短到 "
                         "{now:.0f} 个。",
        "gives_up.cause": "基座认不出正确的结果，想得再久也得不到奖励。",
        "kl.title": "KL 激增",
        "kl.seen": "相对参考模型的 KL 达到每词元 {largest:.3g} nat。",
        "kl.cause": "罕见词元的概率远高于参考模型，或更新幅度过大。",
        "mismatch.title": "采样器与学习器不一致",
        "mismatch.seen": "同一批词元的对数概率平均相差 {difference:.2g}（应低于 {limit:g}）。",
        "mismatch.cause": "采样器权重未更新、精度不同，或采样所用的分布与计算概率的分布不同。",
        "mismatch.defect": "两者读取的是同一份权重，这属于缺陷，请附上配方反馈。",
        "mismatch.vllm": "让 vLLM 使用配方中的 dtype；剩余差异由 {setting} 校正。",
        "spikes.title": "梯度尖峰",
        "spikes.seen": "{n} 步中有 {n_spikes} 步的梯度范数超过中位数（{median:.2g}）的十倍，最大为 "
                       "{largest:.2g}。",
        "spikes.cause": "个别样本主导了整步更新。",
        "spikes.clipped": "梯度裁剪已将其抑制。",
        "undecided.title": "验证器无法判定",
        "undecided.seen": "{n:.0f} 个回答（{share:.1%}）未获判定，已被丢弃。",
        "undecided.cause": "验证器超时，或遇到无法解析的答案。",
        "undecided.action": "查看 samples.jsonl 中这些回答的 `why`，并修正任务的验证器。",
        "zero_loss.title": "损失接近 0 是正常的",
        "zero_loss.seen": "损失始终在 ±{largest:.2g} 以内。",
        "zero_loss.cause": "首次更新之前，损失等于优势均值的相反数，而每组的优势均值为 0；"
                           "梯度并不接近 0。",
        "zero_loss.action": "应关注奖励、长度和熵，而不是损失。",
        "flat_loss.title": "没有学习效果",
        "flat_loss.seen": "{n} 步内损失几乎没有下降（{start:.2f} → {now:.2f}）。",
        "flat_loss.cause": "学习率不适合该模型。",
        "flat_loss.action": "先把 {rates} 降到三分之一试试，再试三倍。",
        "do.lower_rates": "把 {rates} 降到三分之一，重新训练本阶段。",
        "do.easier": "换用更容易的题目", "do.harder": "换用更难的题目",
        "do.other": "换用难度不同的题目",
        "do.lower_level": "调低 [[tasks]] 的 level（现为 {level}）",
        "do.raise_level": "调高 [[tasks]] 的 level（现为 {level}）",
        "do.stronger": "换用更强的基座（model.path）",
        "do.raise": "调高 {setting}", "do.lower": "调低 {setting}",
        "do.raise_to": "把 {setting} 调高到 {value}", "do.set": "设置 {setting} = {value}",
        "do.loss": '设置 {setting} = "dr_grpo" 或 "dapo"',
        "do.penalty": "设置 {setting}，对过长的回答扣分",
        "do.stop": "到此停止", "do.stop_earlier": "提前停止（{setting}）",
        "do.judge": "用这类回答重新训练评判模型",
        "join.comma": "，", "join.or": "，或", "join.and": " 和 ", "join.advice": "建议：{0}。",
        "setting.now": "{name}（现为 {value}）",
        "setting.change": "{name}（{before:g} → {after:.1g}）",
        "setting.of": "[[{section}]] {entry} 的 {key}",
    },
}  # fmt: skip
