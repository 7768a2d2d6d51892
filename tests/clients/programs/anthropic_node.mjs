// Thinking and text, a stream, and a tool.
import assert from "node:assert";
import Anthropic from "@anthropic-ai/sdk";
import { MESSAGES, MODEL, PARAMETERS } from "./weather.mjs";

const client = new Anthropic();
const asked = { model: MODEL, max_tokens: 300, messages: MESSAGES };
const { content } = await client.messages.create(asked);
assert.deepEqual(content.map((block) => block.type), ["thinking", "text"]);
assert.match(await client.messages.stream(asked).finalText(), /sunny/);
const tools = [{ name: "weather", input_schema: PARAMETERS }];
const message = await client.messages.create({ ...asked, tools });
assert.deepEqual(message.content.at(-1).input, { city: "Paris" });
