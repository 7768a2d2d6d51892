// The page in English, Korean and Chinese: a text is looked up by its English wording.
// The browser's language is chosen, or the one in the address (#lang=ko).

export const LANGUAGES = { en: "English", ko: "한국어", zh: "中文" };

const TRANSLATED = {
  ko: {
    "Curves": "곡선", "Rollouts": "롤아웃", "Diagnosis": "진단", "Plan & machine": "계획과 장비", "Language": "언어",
    "The page has lost r1 watch; it asks again every second.": "r1 watch와 연결이 끊겼습니다. 1초마다 다시 연결합니다.",
    "No run yet": "아직 실행이 없습니다", "A run that begins in the watched folder appears here by itself.": "지켜보는 폴더에서 실행이 시작되면 여기에 저절로 나타납니다.",
    "Show {0} too": "{0}도 보기", "{0} warnings": "경고 {0}개", "The run has begun; its first stage has not.": "실행은 시작되었고, 첫 단계는 아직 시작되지 않았습니다.",
    "live": "진행 중", "stopped": "멈춤", "finished": "완료", "no sign of life": "신호 없음", "seed {0}": "시드 {0}", "step {0}": "{0}스텝", "not begun": "시작 전",
    "Memory": "메모리", "peak of a process {0}": "한 프로세스의 최댓값 {0}", "all processes": "모든 프로세스", "{0} cores": "코어 {0}개", "machine of {0} cores {1} busy": "코어 {0}개인 장비의 사용률 {1}",
    "No metric has this name.": "그런 이름의 지표가 없습니다.", "This stage has no numbers yet.": "이 단계에는 아직 값이 없습니다.",
    "Smoothing": "평활", "off": "끔", "Log axis": "로그 축", "Seeds as a band": "시드를 띠로", "Find a metric": "지표 찾기", "end": "끝", "Steps {0} – {1} ✕": "스텝 {0}~{1} ✕",
    "Drag over a curve to zoom, double-click to see all.": "곡선 위를 끌면 확대되고, 두 번 누르면 전체가 보입니다.",
    "{0} of {1}": "{1} 중 {0}", "{0} left in this stage": "이 단계는 {0} 남음", "{0} per step": "스텝마다 {0}", "{0} spent": "{0} 걸림", "weights from {0}": "{0}의 가중치에서 시작", "from {0}": "처음 {0}",
    "running": "진행 중", "begun": "시작함", "training": "학습 중", "{0} steps": "{0}스텝", "{0} left": "{0} 남음",
    "Smoothed (EMA {0}).": "평활함(EMA {0}).", "Smoothed (EMA {0}); the raw values are behind.": "평활함(EMA {0}). 원래 값은 뒤에 흐리게 보입니다.",
    "Linear: a log axis has no place for values of 0 or below.": "0 이하의 값은 로그 축에 놓을 수 없어 선형 축을 씁니다.", "Line: mean of {0} seeds. Band: lowest to highest.": "선: 시드 {0}개의 평균. 띠: 최솟값에서 최댓값까지.",
    "Of {0} alone.": "{0}만 보입니다.", "No numbers yet.": "아직 값이 없습니다.", "mean of {0} seeds": "시드 {0}개의 평균", "latest": "최근 값",
    "newest first": "최신순", "oldest first": "오래된순", "best first": "보상 높은순", "worst first": "보상 낮은순", "longest first": "긴 순", "shortest first": "짧은 순",
    "all": "전체", "right": "정답", "wrong": "오답", "undecided": "미정", "Verdict": "판정", "Stage": "단계", "all stages": "모든 단계", "Task": "과제", "all tasks": "모든 과제",
    "Order": "정렬", "Tokens from": "토큰 수", "from": "최소", "to": "최대", "Reward part": "보상 항목", "any": "전체", "Only {0} ✕": "{0}만 ✕", "Export JSONL": "JSONL로 내보내기",
    "all {0} recorded steps": "기록된 {0}개 스텝 전체", "step {0}: {1} of {2} right": "{0}스텝: {2}개 중 {1}개 정답", "all steps": "모든 스텝", "Step": "스텝",
    "{0} of {1} rollouts": "롤아웃 {1}개 중 {0}개", "No rollout fits.": "조건에 맞는 롤아웃이 없습니다.", "{0} tokens": "{0}토큰", "reward {0}": "보상 {0}", "Show more": "더 보기",
    "No rollout fits the filter.": "조건에 맞는 롤아웃이 없습니다.", "This group is empty.": "이 그룹은 비어 있습니다.", "end of the stage": "단계 끝", "This problem:": "이 문제:",
    "Tokens": "토큰", "as text": "글자 그대로", "by log-probability": "로그 확률로", "by advantage": "어드밴티지로", "Thinking": "생각", "Answer": "답변", "none: the thinking never ended": "없음: 생각이 끝나지 않았습니다",
    "Verifier": "검증기", "verdict": "판정", "read": "읽은 답", "expected": "정답", "length": "길이", "{0} tokens, cut off at max_tokens": "{0}토큰, max_tokens에서 잘림",
    "Copy as test case": "테스트로 복사", "Copy text": "글 복사", "Only this problem": "이 문제만", "reward against its group": "그룹 평균 대비 보상", "sum of parts against its group": "그룹 평균 대비 항목 합",
    "Completion, token by token": "토큰별 답변", "certain": "확신", "surprising, in nats": "의외 (nat)", "not recorded": "기록 없음", "Copied": "복사됨", "Not allowed by the browser": "브라우저가 막았습니다",
    "advantage {0}, the same for every token of a completion: {1}": "어드밴티지 {0}. 한 답변의 모든 토큰이 같은 값입니다. {1}", "the step makes these tokens likelier": "이 스텝은 이 토큰들의 확률을 높입니다.",
    "the step makes these tokens less likely": "이 스텝은 이 토큰들의 확률을 낮춥니다.", "the rewards of this group are equal, so that the step learns nothing from it": "그룹의 보상이 모두 같아 배우는 것이 없습니다.",
    "Warning": "경고", "Note": "참고", "Fine": "정상", "Nothing to diagnose yet: no step is done.": "아직 끝난 스텝이 없어 진단할 것이 없습니다.",
    "stage": "단계", "steps": "스텝", "s per step": "스텝당 초", "planned, at most": "계획(최대)", "time": "시간", "peak memory": "최대 메모리", "planned": "계획", "{0} spent so far": "지금까지 {0}",
    "Machine": "장비", "Command": "명령", "unknown": "알 수 없음", "Copy": "복사", "Folder: ": "폴더: ",
    "Accuracy": "정답률", "Length": "길이", "Reflection": "되돌아보기", "Reward": "보상", "Loss": "손실", "Entropy": "엔트로피", "Groups without signal": "신호 없는 그룹", "Cut off": "잘린 답변",
    "Format": "형식", "Judge's score": "심판 점수", "Gradient norm": "그래디언트 노름", "Learning rate": "학습률", "Undecided": "미정", "Sampler and learner": "샘플러와 학습기", "Seconds per step": "스텝당 초",
    "Peak memory": "최대 메모리", "Tokens per second": "초당 토큰", "Accuracy by task": "과제별 정답률", "Benchmarks": "벤치마크", "Parts of the reward": "보상 항목", "Seconds by phase": "작업별 초", "Clipped tokens": "클리핑된 토큰",
    "right answers among the sampled completions": "샘플링한 답변 가운데 정답", "tokens of a completion, thinking included": "생각을 포함한 답변의 토큰 수", "words like wait, check, 다시, 检查 in a completion": "답변에 나오는 다시, wait, 检查 같은 말",
    "groups whose rewards are all equal: they teach nothing": "보상이 모두 같아 배울 것이 없는 그룹", "nats per token: how much the policy still explores": "토큰당 nat: 정책이 아직 얼마나 탐색하는지", "completions that reached max_tokens": "max_tokens에 닿은 답변",
  },
  zh: {
    "Curves": "曲线", "Rollouts": "采样", "Diagnosis": "诊断", "Plan & machine": "计划与机器", "Language": "语言",
    "The page has lost r1 watch; it asks again every second.": "与 r1 watch 的连接已断开，每秒重试一次。",
    "No run yet": "还没有运行", "A run that begins in the watched folder appears here by itself.": "所监视的文件夹中一有运行开始，就会自动显示在这里。",
    "Show {0} too": "同时显示 {0}", "{0} warnings": "{0} 条警告", "The run has begun; its first stage has not.": "运行已开始，第一个阶段尚未开始。",
    "live": "进行中", "stopped": "已停止", "finished": "已完成", "no sign of life": "没有动静", "seed {0}": "种子 {0}", "step {0}": "第 {0} 步", "not begun": "未开始",
    "Memory": "内存", "peak of a process {0}": "单个进程峰值 {0}", "all processes": "所有进程", "{0} cores": "{0} 核", "machine of {0} cores {1} busy": "{0} 核机器，占用 {1}",
    "No metric has this name.": "没有这个名称的指标。", "This stage has no numbers yet.": "此阶段还没有数据。",
    "Smoothing": "平滑", "off": "关", "Log axis": "对数轴", "Seeds as a band": "种子显示为色带", "Find a metric": "查找指标", "end": "末尾", "Steps {0} – {1} ✕": "第 {0} – {1} 步 ✕",
    "Drag over a curve to zoom, double-click to see all.": "在曲线上拖动可放大，双击显示全部。",
    "{0} of {1}": "{0} / {1}", "{0} left in this stage": "本阶段还需 {0}", "{0} per step": "每步 {0}", "{0} spent": "已用 {0}", "weights from {0}": "权重来自 {0}", "from {0}": "起始 {0}",
    "running": "进行中", "begun": "已开始", "training": "训练中", "{0} steps": "{0} 步", "{0} left": "还需 {0}",
    "Smoothed (EMA {0}).": "已平滑（EMA {0}）。", "Smoothed (EMA {0}); the raw values are behind.": "已平滑（EMA {0}），原始值在后方。",
    "Linear: a log axis has no place for values of 0 or below.": "线性轴：对数轴无法显示 0 及以下的值。", "Line: mean of {0} seeds. Band: lowest to highest.": "曲线：{0} 个种子的均值。色带：最低到最高。",
    "Of {0} alone.": "仅 {0}。", "No numbers yet.": "还没有数据。", "mean of {0} seeds": "{0} 个种子的均值", "latest": "最新值",
    "newest first": "最新优先", "oldest first": "最早优先", "best first": "奖励从高到低", "worst first": "奖励从低到高", "longest first": "从长到短", "shortest first": "从短到长",
    "all": "全部", "right": "正确", "wrong": "错误", "undecided": "未定", "Verdict": "判定", "Stage": "阶段", "all stages": "所有阶段", "Task": "任务", "all tasks": "所有任务",
    "Order": "排序", "Tokens from": "词元数", "from": "最小", "to": "最大", "Reward part": "奖励项", "any": "不限", "Only {0} ✕": "仅 {0} ✕", "Export JSONL": "导出 JSONL",
    "all {0} recorded steps": "全部 {0} 个已记录的步", "step {0}: {1} of {2} right": "第 {0} 步：{2} 个中 {1} 个正确", "all steps": "所有步", "Step": "步",
    "{0} of {1} rollouts": "{1} 个采样中的 {0} 个", "No rollout fits.": "没有符合条件的采样。", "{0} tokens": "{0} 个词元", "reward {0}": "奖励 {0}", "Show more": "显示更多",
    "No rollout fits the filter.": "没有符合条件的采样。", "This group is empty.": "此组为空。", "end of the stage": "阶段末", "This problem:": "此题：",
    "Tokens": "词元", "as text": "文本", "by log-probability": "按对数概率", "by advantage": "按优势值", "Thinking": "思考", "Answer": "回答", "none: the thinking never ended": "无：思考没有结束",
    "Verifier": "验证器", "verdict": "判定", "read": "读到的答案", "expected": "标准答案", "length": "长度", "{0} tokens, cut off at max_tokens": "{0} 个词元，在 max_tokens 处截断",
    "Copy as test case": "复制为测试用例", "Copy text": "复制文本", "Only this problem": "仅此题", "reward against its group": "相对本组的奖励", "sum of parts against its group": "各项之和相对本组",
    "Completion, token by token": "逐词元显示", "certain": "确定", "surprising, in nats": "意外（nat）", "not recorded": "未记录", "Copied": "已复制", "Not allowed by the browser": "浏览器不允许",
    "advantage {0}, the same for every token of a completion: {1}": "优势值 {0}，一个回答的所有词元相同：{1}", "the step makes these tokens likelier": "这一步提高这些词元的概率",
    "the step makes these tokens less likely": "这一步降低这些词元的概率", "the rewards of this group are equal, so that the step learns nothing from it": "本组奖励全部相同，这一步学不到东西",
    "Warning": "警告", "Note": "说明", "Fine": "正常", "Nothing to diagnose yet: no step is done.": "还没有完成的步，无可诊断。",
    "stage": "阶段", "steps": "步数", "s per step": "每步秒数", "planned, at most": "计划（最多）", "time": "时间", "peak memory": "内存峰值", "planned": "计划", "{0} spent so far": "目前已用 {0}",
    "Machine": "机器", "Command": "命令", "unknown": "未知", "Copy": "复制", "Folder: ": "文件夹：",
    "Accuracy": "正确率", "Length": "长度", "Reflection": "反思", "Reward": "奖励", "Loss": "损失", "Entropy": "熵", "Groups without signal": "无信号的组", "Cut off": "被截断",
    "Format": "格式", "Judge's score": "评判分数", "Gradient norm": "梯度范数", "Learning rate": "学习率", "Undecided": "未定", "Sampler and learner": "采样器与学习器", "Seconds per step": "每步秒数",
    "Peak memory": "内存峰值", "Tokens per second": "每秒词元数", "Accuracy by task": "各任务正确率", "Benchmarks": "基准测试", "Parts of the reward": "奖励各项", "Seconds by phase": "各阶段秒数", "Clipped tokens": "被裁剪的词元",
    "right answers among the sampled completions": "采样的回答中正确的比例", "tokens of a completion, thinking included": "回答的词元数，包括思考", "words like wait, check, 다시, 检查 in a completion": "回答中“检查”“wait”“다시”之类的词",
    "groups whose rewards are all equal: they teach nothing": "奖励全部相同、学不到东西的组", "nats per token: how much the policy still explores": "每词元 nat：策略还在探索多少", "completions that reached max_tokens": "达到 max_tokens 的回答",
  },
};

const chosen = new URLSearchParams(location.hash.slice(1)).get("lang");
export const language = [chosen, ...navigator.languages.map((name) => name.slice(0, 2))].find((name) => LANGUAGES[name]) ?? "en";

// t("step {0}", 5): the text in the language of the page; English where there is no other.
export function t(text, ...values) {
  const found = TRANSLATED[language]?.[text] ?? text;
  return found.replace(/\{(\d)\}/g, (_, index) => values[index]);
}
