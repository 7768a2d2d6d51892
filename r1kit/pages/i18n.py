"""The texts of the pages in three languages, and the choice of one for a browser."""

from __future__ import annotations

LANGUAGES = {"en": "English", "ko": "한국어", "zh": "中文"}

WORDS: dict[str, dict[str, str]] = {
    "en": {
        "chat": "Chat", "compare": "Compare", "new": "New chat", "delete": "Delete this chat",
        "history": "Your chats, kept in this browser only", "model": "Model",
        "ask": "Ask something", "deepthink": "DeepThink", "end": "Answer now", "stop": "Stop",
        "thinking": "Thinking… {0:.1f} s", "thought": "Thought for {0:.1f} seconds",
        "cut": "Thinking ended after {0:.1f} seconds", "stopped": "Stopped.",
        "length": "The token limit ended it here.", "waiting": "…",
        "tokens": "{0} tokens", "speed": "{0:.0f} tokens/s", "share": "{0:.0%} thinking",
        "settings": "Settings", "language": "Language", "key": "API key",
        "key_hint": "Only where the server asks for one; kept in this browser.",
        "dark": "Light / dark", "markdown": "Export Markdown", "json": "Export JSON",
        "hello": "What shall we think about?", "models": "Models, side by side",
        "go": "Ask all of them", "unkeyed": "This server asks for an API key: see Settings.",
        "gone": "The server does not answer; is `r1 serve` still running?",
        "you": "You", "try": "Try one of these",
        "note": "Models make mistakes. Nothing of this is kept on the server.",
        # how an answer ended, and notices of the page (turns.py, chats.js)
        "interrupted": "The answer was interrupted. Retry below asks again.",
        "unanswered": "The model ended here without writing an answer. Retry below asks again.",
        "broken": "The answer broke off: the model or its server failed. Retry below asks again.",
        "filtered": "The server ended the answer here ({0}).",
        "busy": "Too many questions at once. Wait a moment, then ask again.",
        "restore": "Restore the deleted chat", "next": "Next:",
        "away": "The server does not answer; is r1 serve still running? This page continues by "
                "itself as soon as the server is back.",
        "unkept": "This browser has no room to keep this chat. Export it, or delete other chats.",
        # settings of an answer
        "answers": "Answer settings", "system": "System prompt", "temperature": "Temperature",
        "top_p": "Top-p", "max_tokens": "Maximum tokens", "seed": "Seed", "default": "default",
        "reset": "Reset to defaults", "budget": "Thinking budget", "unlimited": "no limit",
        "budget_of": "thinking budget {0}", "seed_of": "seed {0}",
        # what can be done with answers and chats
        "more": "Continue", "alternatives": "Versions", "earlier": "Previous version",
        "later": "Next version", "search": "Search chats",
        "search_hint": "Search names and texts", "nothing": "Nothing found.",
        "rename": "Rename this chat", "name": "Name of the chat",
        "unknown": "This chat is not in this browser.",
        "export_all": "Export all chats", "import": "Import chats",
        "imported": "Imported {0} chats; {1} were already here.",
        "unreadable": "This file contains no chats that r1kit can read.",
        # compare: verdicts and samples
        "gold": "Right answer, if you know it", "samples": "Samples per model",
        "one_sample": "1 answer each", "n_samples": "{0} answers each",
        "curve": "Accuracy against thinking budget", "right": "right", "wrong": "wrong",
        "undecided": "undecided", "read_as": "answer read: {0}", "no_answer": "no answer",
        "rate": "{0} of {1} right: {2:.0%} ({3:.0%} to {4:.0%})",
        "mean_tokens": "{0:.0f} tokens on average", "progress": "{0} of {1} samples",
        "interval": "Error bars: 95% Wilson intervals.", "off": "off",
        "budget_axis": "thinking budget, in tokens",
        "ungradable": "No answer can be graded with this right answer. Write a number, a formula, "
                      "the letter of an option or a few words.",
        "needs_gold": "The curve needs the right answer to this question.",
    },
    "ko": {
        "chat": "대화", "compare": "비교", "new": "새 대화", "delete": "이 대화 지우기",
        "history": "지난 대화 (이 브라우저에만 보관)", "model": "모델",
        "ask": "무엇이든 물어보세요", "deepthink": "깊이 생각", "end": "바로 답하기",
        "stop": "멈추기",
        "thinking": "생각하는 중… {0:.1f}초", "thought": "{0:.1f}초 동안 생각함",
        "cut": "{0:.1f}초 만에 생각을 끝냄", "stopped": "멈췄습니다.",
        "length": "토큰 한도에 닿아 여기서 끝났습니다.", "waiting": "…",
        "tokens": "{0} 토큰", "speed": "초당 {0:.0f} 토큰", "share": "생각 {0:.0%}",
        "settings": "설정", "language": "언어", "key": "API 키",
        "key_hint": "서버가 요구할 때만 필요하며, 이 브라우저에만 보관됩니다.",
        "dark": "밝게 / 어둡게", "markdown": "Markdown으로 내보내기", "json": "JSON으로 내보내기",
        "hello": "무엇을 생각해 볼까요?", "models": "나란히 볼 모델",
        "go": "모두에게 묻기", "unkeyed": "이 서버는 API 키가 필요합니다. 설정에 입력하세요.",
        "gone": "서버가 답하지 않습니다. `r1 serve`가 켜져 있나요?",
        "you": "나", "try": "이렇게 물어보세요",
        "note": "모델은 틀릴 수 있습니다. 서버에는 아무것도 저장되지 않습니다.",
        "interrupted": "답변이 중단되었습니다. 아래 ‘다시 답하기’를 누르면 다시 묻습니다.",
        "unanswered": "모델이 답을 쓰지 않고 끝냈습니다. 아래 ‘다시 답하기’를 누르면 "
                      "다시 묻습니다.",
        "broken": "모델이나 서버에 문제가 생겨 답변이 도중에 끊겼습니다. 아래 ‘다시 답하기’를 "
                  "누르면 다시 묻습니다.",
        "filtered": "서버가 여기서 답변을 끝냈습니다({0}).",
        "busy": "질문이 한꺼번에 너무 많이 들어왔습니다. 잠시 후 다시 물어보세요.",
        "restore": "지운 대화 되살리기", "next": "다음 질문:",
        "away": "서버가 응답하지 않습니다. r1 serve가 켜져 있나요? 서버가 돌아오면 이 페이지는 "
                "저절로 이어집니다.",
        "unkept": "브라우저에 저장 공간이 없어 이 대화를 보관하지 못합니다. 내보내거나 다른 대화를 "
                  "지워 주세요.",
        "answers": "답변 설정", "system": "시스템 프롬프트", "temperature": "온도",
        "top_p": "Top-p", "max_tokens": "최대 토큰 수", "seed": "시드", "default": "기본값",
        "reset": "기본값으로 되돌리기", "budget": "생각 한도", "unlimited": "제한 없음",
        "budget_of": "생각 한도 {0}", "seed_of": "시드 {0}",
        "more": "이어 쓰기", "alternatives": "여러 버전", "earlier": "이전 버전",
        "later": "다음 버전", "search": "대화 검색",
        "search_hint": "제목과 내용에서 찾기", "nothing": "검색 결과가 없습니다.",
        "rename": "이 대화 이름 바꾸기", "name": "대화 이름",
        "unknown": "이 브라우저에 없는 대화입니다.",
        "export_all": "모든 대화 내보내기", "import": "대화 가져오기",
        "imported": "대화 {0}개를 가져왔습니다. {1}개는 이미 있습니다.",
        "unreadable": "이 파일에는 읽을 수 있는 대화가 없습니다.",
        "gold": "정답 (아는 경우)", "samples": "모델당 답변 수", "one_sample": "답변 1개씩",
        "n_samples": "답변 {0}개씩",
        "curve": "생각 한도에 따른 정확도", "right": "정답", "wrong": "오답",
        "undecided": "판정 불가", "read_as": "읽어 낸 답: {0}", "no_answer": "답 없음",
        "rate": "{1}개 중 {0}개 정답: {2:.0%} ({3:.0%}~{4:.0%})",
        "mean_tokens": "평균 {0:.0f} 토큰", "progress": "답변 {1}개 중 {0}개 완료",
        "interval": "오차 막대는 95% 윌슨 신뢰구간입니다.", "off": "끔",
        "budget_axis": "생각 한도(토큰)",
        "ungradable": "이 정답으로는 채점할 수 없습니다. 숫자, 수식, 선택지 글자 또는 짧은 말로 "
                      "적어 주세요.",
        "needs_gold": "정확도를 그리려면 이 질문의 정답을 입력하세요.",
    },
    "zh": {
        "chat": "对话", "compare": "对比", "new": "新对话", "delete": "删除此对话",
        "history": "历史对话（仅保存在此浏览器）", "model": "模型",
        "ask": "问点什么", "deepthink": "深度思考", "end": "立即回答", "stop": "停止",
        "thinking": "思考中… {0:.1f} 秒", "thought": "已思考（用时 {0:.1f} 秒）",
        "cut": "思考在 {0:.1f} 秒后结束", "stopped": "已停止。",
        "length": "达到了长度上限，到此为止。", "waiting": "…",
        "tokens": "{0} 个词元", "speed": "每秒 {0:.0f} 个", "share": "思考占 {0:.0%}",
        "settings": "设置", "language": "语言", "key": "API 密钥",
        "key_hint": "仅在服务器要求时需要，只保存在此浏览器。",
        "dark": "浅色 / 深色", "markdown": "导出 Markdown", "json": "导出 JSON",
        "hello": "今天想思考什么？", "models": "并排比较的模型",
        "go": "同时提问", "unkeyed": "此服务器需要 API 密钥，请在设置中填写。",
        "gone": "服务器没有响应，`r1 serve` 还在运行吗？",
        "you": "我", "try": "试试这些问题",
        "note": "模型会出错。服务器上不保存任何内容。",
        "interrupted": "回答被中断了。点击下方的“重新回答”可重新提问。",
        "unanswered": "模型没有写出答案就结束了。点击下方的“重新回答”可重新提问。",
        "broken": "回答中途断开：模型或服务器出了问题。点击下方的“重新回答”可重新提问。",
        "filtered": "服务器在此结束了回答（{0}）。",
        "busy": "一次提交的问题太多，请稍候再问。",
        "restore": "恢复已删除的对话", "next": "下一个问题：",
        "away": "服务器没有响应，r1 serve 还在运行吗？服务器恢复后，本页会自动继续。",
        "unkept": "浏览器存储空间不足，无法保存此对话。请导出，或删除其他对话。",
        "answers": "回答设置", "system": "系统提示词", "temperature": "温度",
        "top_p": "Top-p", "max_tokens": "最大词元数", "seed": "随机种子", "default": "默认",
        "reset": "恢复默认设置", "budget": "思考预算", "unlimited": "不限",
        "budget_of": "思考预算 {0}", "seed_of": "随机种子 {0}",
        "more": "继续写", "alternatives": "多个版本", "earlier": "上一个版本",
        "later": "下一个版本", "search": "搜索对话",
        "search_hint": "搜索名称和内容", "nothing": "没有找到结果。",
        "rename": "重命名此对话", "name": "对话名称",
        "unknown": "此浏览器中没有这个对话。",
        "export_all": "导出全部对话", "import": "导入对话",
        "imported": "已导入 {0} 个对话，另有 {1} 个已存在。",
        "unreadable": "此文件中没有可读取的对话。",
        "gold": "正确答案（如果知道）", "samples": "每个模型的回答次数", "one_sample": "各答 1 次",
        "n_samples": "各答 {0} 次",
        "curve": "准确率随思考预算的变化", "right": "正确", "wrong": "错误",
        "undecided": "无法判定", "read_as": "读到的答案：{0}", "no_answer": "没有答案",
        "rate": "{1} 次中答对 {0} 次：{2:.0%}（{3:.0%} 至 {4:.0%}）",
        "mean_tokens": "平均 {0:.0f} 个词元", "progress": "已完成 {0}/{1} 次回答",
        "interval": "误差线为 95% 威尔逊置信区间。", "off": "关闭",
        "budget_axis": "思考预算（词元）",
        "ungradable": "无法按这个正确答案评分。请填写数字、公式、选项字母或简短的文字。",
        "needs_gold": "要绘制准确率曲线，请填写这道题的正确答案。",
    },
}  # fmt: skip

EXAMPLES = {
    "en": ["What is 1+2+3+...+100?", "Solve 7x+3=38", "What is 47+38-21?"],
    "ko": ["1+2+3+...+100은?", "x를 구하라: 7x+3=38", "47+38-21은?"],
    "zh": ["1+2+3+...+100等于多少？", "解方程 7x+3=38", "计算47+38-21"],
}
"""questions worded like the generated tasks (r1kit/tasks/world), which the smallest models know;
large models know the wordings too"""


GRADIO_LABELS: dict[str, dict[str, str]] = {
    "en": {
        "chatbot conversation": "Conversation", "Copied message": "Copied", "copy": "Copy code",
        "Copy message": "Copy", "undo": "Undo",
    },
    "ko": {
        "Toggle Sidebar": "사이드바 여닫기", "More tabs": "탭 더 보기",
        "chatbot conversation": "대화 내용", "Question": "질문", "Answer": "답변",
        "Examples": "예시 질문", "Copy message": "복사", "Copied message": "복사됨",
        "copy": "코드 복사", "Retry": "다시 답하기", "Undo": "되돌리기", "undo": "되돌리기",
        "Edit": "수정", "Clear": "대화 비우기", "Submit": "보내기", "Send": "보내기",
        "Cancel": "취소", "Scroll down": "맨 아래로",
        "Pages:": "쪽:", "Close": "닫기", "Error": "오류", "Warning": "경고", "Info": "알림",
        "Connection Lost": "연결 끊김", "Connection errored out.": "연결이 끊어졌습니다.",
        "Connection to the server was lost. Attempting reconnection...":
            "서버와 연결이 끊어져 다시 연결하고 있습니다.",
    },
    "zh": {
        "Toggle Sidebar": "展开或收起侧边栏", "More tabs": "更多标签页",
        "chatbot conversation": "对话内容", "Question": "问题", "Answer": "回答",
        "Examples": "示例问题", "Copy message": "复制", "Copied message": "已复制",
        "copy": "复制代码", "Retry": "重新回答", "Undo": "撤回", "undo": "撤回",
        "Edit": "编辑", "Clear": "清空对话", "Submit": "发送", "Send": "发送", "Cancel": "取消",
        "Scroll down": "滚动到底部",
        "Pages:": "页码：", "Close": "关闭", "Error": "错误", "Warning": "警告", "Info": "提示",
        "Connection Lost": "连接已断开", "Connection errored out.": "连接已断开。",
        "Connection to the server was lost. Attempting reconnection...":
            "与服务器的连接已断开，正在重新连接。",
    },
}  # fmt: skip
"""gradio's own labels by its English text; the English ones are only better wordings (page.js)"""


def say(language: str, name: str, *values: float | str) -> str:
    """Return a text in this language, or in English if the language is unknown."""
    return WORDS.get(language, WORDS["en"])[name].format(*values)


def preferred(accepted: str) -> str:
    """Return the first of our languages in an Accept-Language header (most preferred first)."""
    for entry in accepted.split(","):
        language = entry.strip()[:2].lower()
        if language in LANGUAGES:
            return language
    return "en"
