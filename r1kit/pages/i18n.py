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
        "away": "The server does not answer; is r1 serve still running? This page goes on by "
                "itself as soon as the server is back.",
        "unkept": "This browser has no room to keep this chat. Export it, or delete other chats.",
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
