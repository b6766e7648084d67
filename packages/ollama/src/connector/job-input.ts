import { isAbsolute } from 'node:path';
import { problemsOf } from '@mgpu/core/jobs';
import { z } from 'zod';
import { OllamaInputInvalidError } from '../errors.ts';

const options = z
  .record(z.string(), z.unknown())
  .optional()
  .describe('E.g. { num_ctx, num_predict, seed, temperature }');
const keepAlive = z
  .union([z.number(), z.string()])
  .optional()
  .describe('How long the model stays in memory: seconds, or a duration such as 5m');
const model = z.string().min(1).optional().describe('Default: services.ollama.defaultModel');
const image = z
  .union([z.base64().min(1), z.strictObject({ path: z.string().refine(isAbsolute, 'must be absolute') })], {
    error: 'must be base64, or { path } of a file on the machine that runs the job',
  })
  .describe('Base64, or { path } of a file on the machine that runs the job');
const completion = {
  model,
  format: z
    .union([z.literal('json'), z.record(z.string(), z.unknown())])
    .optional()
    .describe('json, or a JSON schema that the answer is to keep to'),
  options,
  keep_alive: keepAlive,
  think: z.union([z.boolean(), z.string()]).optional(),
};

const generateSchema = z.strictObject({
  ...completion,
  prompt: z.string().min(1),
  suffix: z.string().optional(),
  system: z.string().optional(),
  template: z.string().optional(),
  raw: z.boolean().optional(),
  images: z.array(image).optional(),
});

const chatSchema = z.strictObject({
  ...completion,
  messages: z
    .array(
      z.strictObject({
        role: z.enum(['system', 'user', 'assistant', 'tool']),
        content: z.string().default(''),
        thinking: z.string().optional(),
        images: z.array(image).optional(),
        tool_calls: z
          .array(
            z.looseObject({
              function: z.looseObject({ name: z.string(), arguments: z.record(z.string(), z.unknown()) }),
            }),
          )
          .optional(),
        tool_name: z.string().optional(),
      }),
    )
    .min(1),
  tools: z.array(z.record(z.string(), z.unknown())).optional(),
});

const embedSchema = z.strictObject({
  model,
  input: z.union([z.string(), z.array(z.string()).min(1)]),
  truncate: z.boolean().optional(),
  dimensions: z.number().int().positive().optional(),
  options,
  keep_alive: keepAlive,
});

/** What a job of type `ollama` asks for: one request to Ollama, in Ollama's own words. */
export const ollamaJobInputSchema = z
  .strictObject({
    generate: generateSchema.optional().describe('An answer to a prompt: the body of POST /api/generate'),
    chat: chatSchema.optional().describe('The next message of a conversation: the body of POST /api/chat'),
    embed: embedSchema.optional().describe('Vectors for texts: the body of POST /api/embed'),
  })
  .refine(
    (input) => Object.values(input).filter((each) => each !== undefined).length === 1,
    'exactly one of generate, chat and embed is to be given',
  );

export type OllamaJobInput = z.input<typeof ollamaJobInputSchema>;
export type ReadJobInput = z.output<typeof ollamaJobInputSchema>;
export type JobImage = z.output<typeof image>;

const maxProblems = 5;

/** `OLLAMA_INPUT_INVALID` names each problem with its path. */
export function readJobInput(input: unknown): ReadJobInput {
  const parsed = ollamaJobInputSchema.safeParse(input);
  if (parsed.success) return parsed.data;
  throw new OllamaInputInvalidError({ problems: problemsOf(parsed.error, 'input').slice(0, maxProblems) });
}
