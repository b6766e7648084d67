import { realpath } from 'node:fs/promises';
import { relative, sep } from 'node:path';
import { type Artifact, ignore, type JobStatus } from '@mgpu/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { MachineControl } from '../contract.ts';
import { ArtifactUnknownError, PreconditionError, RangeOutsideError } from '../errors.ts';

/** Milliseconds without a byte after which whoever fetches a file is given up. */
const stalledMs = 60_000;

/**
 * Sends a file of a job, or the range of it that is asked for (RFC 9110). Only what lies in the folder of artifacts, links resolved, is
 * ever sent: the queue, which says where files are, is shared with others. Throws `CONTROL_ARTIFACT_UNKNOWN`,
 * `CONTROL_PRECONDITION` and `CONTROL_RANGE`.
 */
export async function sendArtifact(
  job: JobStatus,
  name: string,
  { control, request, reply }: { control: MachineControl; request: FastifyRequest; reply: FastifyReply },
): Promise<FastifyReply> {
  const artifact = job.result?.artifacts.find((each) => each.name === name);
  const refuse = (problem: string) => new ArtifactUnknownError({ job: job.id, name, problem });
  if (!artifact) throw refuse(job.result ? 'its result does not name it' : `it is ${job.state}`);
  const place = await placeOf(artifact, control.artifactsDir);
  if (place === undefined)
    throw refuse(`it was made by machine ${job.result?.machine}, and is not among the files here`);
  const { send } = await import('@fastify/send');
  const sent = await send(request.raw, place.path, {
    root: place.root,
    dotfiles: 'deny',
    index: false,
    cacheControl: false,
  });
  const { 'Content-Type': _, ...headers } = sent.headers as Record<string, string>;
  if (sent.statusCode === 416) {
    reply.header('content-range', headers['Content-Range']);
    throw new RangeOutsideError({ name, bytes: artifact.bytes, range: String(request.headers.range) });
  }
  if (sent.statusCode === 412) throw new PreconditionError({ name });
  if (sent.type !== 'file') throw refuse('it is not a file');
  reply.raw.setTimeout(stalledMs, () => reply.raw.destroy());
  return reply
    .status(sent.statusCode)
    .headers(headers)
    .header('repr-digest', `sha-256=:${Buffer.from(artifact.sha256, 'hex').toString('base64')}:`)
    .header('content-type', mediaTypeForm.test(artifact.mediaType) ? artifact.mediaType : 'application/octet-stream')
    .header('content-disposition', 'attachment')
    .send(sent.stream);
}

/** The queue's word, and so a stranger's. */
const mediaTypeForm = /^[\w.+-]{1,100}\/[\w.+-]{1,100}$/;

/** Undefined for what is not in the folder. */
async function placeOf({ path }: Artifact, dir: string): Promise<{ root: string; path: string } | undefined> {
  const [root, real] = await Promise.all([realpath(dir), realpath(path)].map((each) => each.catch(ignore('ENOENT'))));
  if (root === undefined || real === undefined) return undefined;
  const below = relative(root, real);
  return below === '' || below.startsWith('..') || below.startsWith(sep) ? undefined : { root, path: encodeURI(below) };
}
