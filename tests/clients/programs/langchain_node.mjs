// An agent with a tool, and an object.
import assert from "node:assert";
import { ChatDeepSeek } from "@langchain/deepseek";
import { createAgent, tool } from "langchain";
import { z } from "zod";
import { MODEL, QUESTION } from "./weather.mjs";

const configuration = { baseURL: process.env.OPENAI_BASE_URL };
const model = new ChatDeepSeek({ model: MODEL, apiKey: "none", configuration });
const weather = tool(async () => "sunny", {
  name: "weather",
  description: "the weather",
  schema: z.object({ city: z.string() }),
});
const agent = createAgent({ model, tools: [weather] });
const { messages } = await agent.invoke({ messages: [{ role: "user", content: QUESTION }] });
assert.match(messages.at(-1).content, /sunny/);
const point = model.withStructuredOutput(z.object({ x: z.number() }));
assert.equal((await point.invoke("Which point?")).x, 5);
