// A chat, a stream, a tool and its result, and a response.
import assert from "node:assert";
import OpenAI from "openai";
import { MESSAGES, MODEL, TOOL } from "./weather.mjs";

const client = new OpenAI();
const asked = { model: MODEL, messages: MESSAGES };
assert.match((await client.chat.completions.create(asked)).choices[0].message.content, /sunny/);
let text = "";
for await (const part of await client.chat.completions.create({ ...asked, stream: true }))
  text += part.choices[0]?.delta.content ?? "";
assert.match(text, /sunny/);
const { message } = (await client.chat.completions.create({ ...asked, tools: [TOOL] })).choices[0];
assert.equal(message.tool_calls[0].function.name, "weather");
const result = { role: "tool", tool_call_id: message.tool_calls[0].id, content: "sunny" };
const turns = [...MESSAGES, message, result];
const answer = await client.chat.completions.create({ ...asked, messages: turns, tools: [TOOL] });
assert.match(answer.choices[0].message.content, /sunny/);
assert.match((await client.responses.create({ model: MODEL, input: MESSAGES })).output_text, /sunny/);
