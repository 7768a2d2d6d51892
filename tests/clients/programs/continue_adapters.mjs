// A chat, a tool and autocompletion, by five providers.
import assert from "node:assert";
import { constructLlmApi } from "@continuedev/openai-adapters";
import { MESSAGES, MODEL, TOOL } from "./weather.mjs";

for (const provider of ["openai", "deepseek", "lmstudio", "llamastack", "vllm"]) {
  const api = constructLlmApi({ provider, apiKey: "none", apiBase: `${process.env.OPENAI_BASE_URL}/` });
  const { signal } = new AbortController();
  const asked = { model: MODEL, messages: MESSAGES };
  let text = "";
  for await (const part of api.chatCompletionStream({ ...asked, stream: true }, signal))
    text += part.choices[0]?.delta.content ?? "";
  assert.match(text, /sunny/, provider);
  const answer = await api.chatCompletionNonStream({ ...asked, tools: [TOOL] }, signal);
  assert.equal(answer.choices[0].message.tool_calls[0].function.name, "weather", provider);
  const filling = { model: MODEL, prompt: "a", suffix: "b", max_tokens: 5, stream: true };
  await assert.rejects(async () => {
    for await (const _ of api.fimStream(filling, signal));
  }, /no fill-in-the-middle tokens/, provider);
}
