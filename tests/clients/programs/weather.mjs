// The question and the tool that the programs share.
export const MODEL = "tiny";
export const QUESTION = "How is the weather in Paris?";
export const MESSAGES = [{ role: "user", content: QUESTION }];
export const PARAMETERS = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
};
export const TOOL = { type: "function", function: { name: "weather", parameters: PARAMETERS } };
