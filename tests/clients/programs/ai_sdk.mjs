// Text with a tool, a stream and an object, by four providers.
import assert from "node:assert";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createDeepSeek } from "@ai-sdk/deepseek";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { MODEL, QUESTION } from "./weather.mjs";

const baseURL = process.env.OPENAI_BASE_URL;
const options = { baseURL, apiKey: "none" };
const providers = {
  compatible: createOpenAICompatible({ ...options, name: "r1", supportsStructuredOutputs: true }),
  deepseek: createDeepSeek(options),
  openai: createOpenAI(options),
  anthropic: createAnthropic(options),
};
const tools = {
  weather: tool({ inputSchema: z.object({ city: z.string() }), execute: async () => "sunny" }),
};
for (const [name, provider] of Object.entries(providers)) {
  const model = provider(MODEL);
  const called = await generateText({ model, prompt: QUESTION, tools, stopWhen: stepCountIs(3) });
  assert.match(called.text, /sunny/, name);
  assert.equal(called.steps.length, 2, name);
  let text = "";
  for await (const part of streamText({ model, prompt: QUESTION }).textStream) text += part;
  assert.match(text, /sunny/, name);
  const output = Output.object({ schema: z.object({ x: z.number() }) });
  const made = await generateText({ model, prompt: "Which point, as JSON?", output });
  assert.equal(made.output.x, 5, name);
}
