// OpenAI's package for JavaScript, used as its own documentation shows. Scenarios come in line by line, answers go out as JSON.
import { writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import OpenAI from 'openai';

const baseURL = `${process.env.SERVER}/v1`;
const WEATHER = {
  type: 'object',
  properties: { location: { type: 'string' } },
  required: ['location'],
  additionalProperties: false,
};
const client = (key, options = {}) => new OpenAI({ baseURL, apiKey: key, maxRetries: 0, ...options });
const asked = (text, fields = {}) => ({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: text }], ...fields });

/** What an error tells, and its class. */
async function attempt(call) {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof OpenAI.OpenAIError)) throw error;
    const { status, code, param, type, message, requestID } = error;
    return { class: error.constructor.name, status, code, param, type, message, requestID };
  }
  throw new Error('this was to be refused');
}

const scenarios = {
  async create({ key, text, fields }) {
    const { data, response } = await client(key).chat.completions.create(asked(text, fields)).withResponse();
    return { reply: data, cost: response.headers.get('x-minitoolai-cost'), requestID: data._request_id };
  },

  async stream({ key, text, fields }) {
    const options = { stream: true, stream_options: { include_usage: true } };
    const chunks = [];
    for await (const chunk of await client(key).chat.completions.create(asked(text, { ...options, ...fields }))) chunks.push(chunk);
    return chunks;
  },

  async leave({ key, text, after }) {
    const stream = await client(key).chat.completions.create(asked(text, { stream: true }));
    let content = '';
    let number = 0;
    for await (const chunk of stream) {
      content += chunk.choices[0].delta.content ?? '';
      if (number++ === after) break;
    }
    return content;
  },

  // The package's own loop, whole or streamed.
  async tools({ key, text, streamed }) {
    const called = [];
    const weather = {
      name: 'get_weather',
      description: 'Current temperature at a place.',
      parameters: WEATHER,
      parse: JSON.parse,
      function: (place) => {
        called.push(place);
        return `${place.location}: 7 degrees`;
      },
    };
    const runner = client(key).chat.completions.runTools({
      ...asked(text),
      tools: [{ type: 'function', function: weather }],
      stream: streamed,
    });
    const answer = await runner.finalContent();
    return { answer, called, usage: await runner.totalUsage() };
  },

  async schema({ key, text, schema }) {
    const format = { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema } };
    const reply = await client(key).chat.completions.parse(asked(text, { response_format: format }));
    return JSON.parse(reply.choices[0].message.content);
  },

  async refused({ key, fields, maxRetries = 0 }) {
    return attempt(async () => {
      const reply = await client(key, { maxRetries }).chat.completions.create(asked('Hello', fields));
      if (fields.stream) for await (const _ of reply);
    });
  },

  // How often a call is sent that is refused, with the package's own number of retries.
  async counted({ key }) {
    let sent = 0;
    const counting = (...given) => {
      sent += 1;
      return fetch(...given);
    };
    const patient = new OpenAI({ baseURL, apiKey: key, fetch: counting });
    const found = await attempt(() => patient.chat.completions.create(asked('Hello')));
    return { ...found, sent };
  },

  async retried({ key }) {
    const started = performance.now();
    const reply = await new OpenAI({ baseURL, apiKey: key }).chat.completions.create(asked('Hello'));
    return { content: reply.choices[0].message.content, took_s: (performance.now() - started) / 1000 };
  },

  async models({ key }) {
    const list = [];
    for await (const model of client(key).models.list()) list.push(model.id);
    const one = await client(key).models.retrieve('gpt-4o-mini');
    return { list, one, none: await attempt(() => client(key).models.retrieve('no-such-model')) };
  },

  async respond({ key, fields }) {
    const reply = await client(key).responses.create({ model: 'gpt-4o-mini', ...fields });
    return { text: reply.output_text, status: reply.status, usage: reply.usage };
  },

  async respondStreamed({ key, fields }) {
    const stream = client(key).responses.stream({ model: 'gpt-4o-mini', ...fields });
    const kinds = [];
    for await (const event of stream) kinds.push(event.type);
    const reply = await stream.finalResponse();
    return { kinds, text: reply.output_text, usage: reply.usage };
  },

  async images({ key, fields }) {
    return client(key).images.generate({ model: 'gpt-image-1', prompt: 'a red circle', ...fields });
  },

  // Speech, as a stream that is written to a file.
  async speak({ key, path, fields }) {
    const reply = await client(key).audio.speech.create({ model: 'tts-1', voice: 'alloy', ...fields });
    await writeFile(path, reply.body);
    return reply.headers.get('content-type');
  },

  async embed({ key, fields }) {
    return client(key).embeddings.create({ model: 'text-embedding-3-small', ...fields });
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { scenario, arguments: given } = JSON.parse(line);
  let answer;
  try {
    answer = { result: (await scenarios[scenario](given)) ?? null };
  } catch (error) {
    answer = { failed: String(error?.stack ?? error) };
  }
  process.stdout.write(JSON.stringify(answer) + '\n');
}
