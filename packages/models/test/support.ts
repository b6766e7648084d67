import { createHash, randomBytes } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { dirname, join } from 'node:path';
import { type Layout, layoutOf } from '@mgpu/core';
import { leasePorts, temporaryFolder as openTemporaryFolder } from '@mgpu/core/testing';
import { onTestFinished } from 'vitest';
import {
  entryOf,
  type ModelEntryInput,
  ModelStore,
  type ModelStoreOptions,
  type ModelsInput,
  modelsSchema,
} from '../src/index.ts';

export function temporaryFolder(): string {
  const folder = openTemporaryFolder('models-');
  onTestFinished(() => folder[Symbol.dispose]());
  return folder.path;
}

export const bytes = (size: number): Buffer => randomBytes(size);
export const sha256 = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex');

export type Handler = (request: IncomingMessage, response: ServerResponse) => unknown;

export interface TestServer {
  readonly url: string;
  readonly port: number;
  /** Every request, as it came. */
  readonly requests: { readonly path: string; readonly headers: IncomingMessage['headers'] }[];
}

/** An HTTP server on a leased port, which is closed with all its connections when the test ends. */
export async function serve(handler: Handler): Promise<TestServer> {
  const lease = await leasePorts(1);
  const requests: TestServer['requests'] = [];
  const server = createServer((request, response) => {
    requests.push({ path: request.url ?? '', headers: request.headers });
    response.on('error', () => {});
    void handler(request, response);
  });
  await new Promise<void>((resolve) => server.listen(lease.first, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    lease[Symbol.dispose]();
  });
  return { url: `http://127.0.0.1:${lease.first}`, port: lease.first, requests };
}

export interface FileAnswer {
  readonly etag?: string | undefined;
  /** Ends the connection after so many bytes of the answer. */
  readonly cutAfter?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Answers as a well-behaved server of files: ranges, `If-Range`, lengths. */
export function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  content: Buffer,
  how: FileAnswer = {},
): void {
  const { etag = '"one"', cutAfter, headers = {} } = how;
  const [, from] = /^bytes=(\d+)-$/.exec(request.headers.range ?? '') ?? [];
  const condition = request.headers['if-range'];
  const isPart = from !== undefined && (condition === undefined || condition === etag);
  if (isPart && Number(from) >= content.length) {
    response.writeHead(416, { 'content-range': `bytes */${content.length}` }).end();
    return;
  }
  const body = isPart ? content.subarray(Number(from)) : content;
  const range = isPart ? { 'content-range': `bytes ${from}-${content.length - 1}/${content.length}` } : {};
  response.writeHead(isPart ? 206 : 200, {
    'content-length': body.length,
    ...(etag ? { etag } : {}),
    ...range,
    ...headers,
  });
  if (cutAfter === undefined || cutAfter >= body.length) response.end(body);
  else response.write(body.subarray(0, cutAfter), () => response.destroy());
}

export interface StoreBox {
  readonly layout: Layout;
  readonly store: ModelStore;
  /** Pulls these. */
  pull(...entries: readonly ModelEntryInput[]): ReturnType<ModelStore['pull']>;
  /** Absolute path of one. */
  at(path: string): string;
}

/** A store with little patience on a root of its own. */
export function openStore(
  config: ModelsInput = {},
  options: Partial<ModelStoreOptions> = {},
  root = temporaryFolder(),
): StoreBox {
  const layout = layoutOf(root);
  const parsed = modelsSchema.parse({ attempts: 2, reserveGiB: 0, ...config });
  const store = new ModelStore({ layout, config: parsed, ...options });
  return {
    layout,
    store,
    pull: (...entries) => store.pull(entries.map((entry) => entryOf(entry))),
    at: (path) => join(layout.shared, path),
  };
}

/** Status and code of each, by path. */
export const outcomes = (report: { models: readonly { path: string; status: string; error?: { code: string } }[] }) =>
  Object.fromEntries(
    report.models.map(({ path, status, error }) => [path, error ? `${status} ${error.code}` : status]),
  );

export function write(path: string, content: string | Uint8Array): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return path;
}

export const read = (path: string): Buffer => readFileSync(path);
export const isThere = (path: string): boolean => existsSync(path);

/** Every file below a folder with what would show that it was touched. */
export function listing(root: string): string[] {
  const seen: string[] = [];
  const visit = (path: string) => {
    const facts = lstatSync(path, { bigint: true });
    const link = facts.isSymbolicLink() ? readlinkSync(path) : '';
    seen.push(`${path} ${facts.ino} ${facts.mode} ${facts.size} ${facts.mtimeNs} ${link}`);
    if (facts.isDirectory()) for (const name of readdirSync(path).sort()) visit(join(path, name));
  };
  visit(root);
  return seen;
}

/** Names in a folder, hidden ones included. */
export const names = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder).sort() : []);
