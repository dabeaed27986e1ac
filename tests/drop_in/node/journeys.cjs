// Runs one journey with OpenAI's SDK and prints what the SDK gave: `node journeys.cjs <options>`.
// The options are JSON: {journey, baseURL, headers}. An error is printed by its class, not thrown.
"use strict";

const { OpenAI } = require("openai");

const PROMPT = [{ role: "user", content: "Which ocean is the largest?" }];

async function all(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return pieces;
}

const JOURNEYS = {
  chat: (client) => client.chat.completions.create({ model: "gpt-4o-mini", messages: PROMPT }),
  chatStream: async (client) =>
    all(await client.chat.completions.create({ model: "gpt-4o-mini", messages: PROMPT, stream: true })),
  embeddings: (client) => client.embeddings.create({ model: "text-embedding-3-small", input: "Sea" }),
  response: (client) => client.responses.create({ model: "gpt-4o", input: "Hi" }),
  responseStream: async (client) =>
    all(await client.responses.create({ model: "gpt-4o", input: "Hi", stream: true })),
};

async function main() {
  const { journey, baseURL, headers } = JSON.parse(process.argv[2]);
  const client = new OpenAI({
    baseURL,
    apiKey: "test-upstream-key",
    maxRetries: 0,
    defaultHeaders: headers,
  });
  try {
    return { answer: await JOURNEYS[journey](client) };
  } catch (error) {
    return { error: error.constructor.name, status: error.status, code: error.code ?? null };
  }
}

main().then((result) => process.stdout.write(JSON.stringify(result)));
