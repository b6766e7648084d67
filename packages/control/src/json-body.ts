import type { FastifyInstance } from 'fastify';
import { RequestInvalidError } from './errors.ts';

/** Objects and arrays within each other. What is deeper can be read, and not be written again: that takes a stack. */
const mostLevels = 200;

/** Reads bodies as JSON, and refuses those that nobody behind us could pass on. */
export function readJsonBodies(server: FastifyInstance): void {
  const read = server.getDefaultJsonParser('error', 'error');
  server.addContentTypeParser('application/json', { parseAs: 'string' }, (request, text, done) => {
    void read(request, String(text), (error, body: unknown) => {
      if (error) done(error);
      else if (isDeeper(body, mostLevels))
        done(new RequestInvalidError({ problems: [`body: it is nested more than ${mostLevels} levels deep`] }));
      else done(null, body);
    });
  });
}

function isDeeper(value: unknown, levels: number): boolean {
  let level = [value].filter(isNest);
  for (let depth = 0; depth < levels && level.length > 0; depth++)
    level = level.flatMap((each) => Object.values(each).filter(isNest));
  return level.length > 0;
}

const isNest = (value: unknown): value is object => typeof value === 'object' && value !== null;
