// Asks a server in even steps while others follow its streams; a process of its own, so that what it measures is the server.
// Gets a `Load` as its argument, prints a `LoadReport`.
import { Agent, type IncomingMessage, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Load {
  readonly port: number;
  readonly seconds: number;
  readonly requestsPerSecond: number;
  readonly asked: Asked;
  readonly followers: readonly (Asked & { readonly count: number })[];
  /** Followers of the last of these that read nothing. */
  readonly stalled: number;
}

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface LoadReport {
  /** Milliseconds from when each request was due to the end of its answer, in order of size. */
  readonly tookMs: readonly number[];
  /** Requests that were not answered with 200. */
  readonly failed: number;
  readonly followers: number;
  /** Of those whose stream ended before the time was over. */
  readonly cutOff: number;
  /** Numbered lines that followers got, and those that they missed or got twice. */
  readonly lines: number;
  readonly wrongLines: number;
  readonly stalled: number;
  /** How many of them the server has dropped. */
  readonly dropped: number;
}

const load: Load = JSON.parse(process.argv[2] ?? '{}');
const host = '127.0.0.1';
/** Milliseconds after which a request counts as failed. */
const patienceMs = 10_000;
const agent = new Agent({ keepAlive: true, maxSockets: 128 });
const tookMs: number[] = [];
let failed = 0;

function ask({ method, path, headers, body }: Asked, withAgent: Agent | false): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const options = { host, port: load.port, method, path, headers, agent: withAgent };
    // The wait for a connection counts as well.
    const signal = withAgent ? AbortSignal.timeout(patienceMs) : undefined;
    const sent = request({ ...options, ...(signal && { signal }) }, resolve);
    sent.on('error', reject).end(body);
  });
}

class Follower {
  isCutOff = false;
  lines = 0;
  wrong = 0;
  #next: number | undefined;
  #rest = '';

  async begin(asked: Asked): Promise<void> {
    const response = await ask(asked, false);
    if (response.statusCode !== 200) throw new Error(`${asked.path} said ${response.statusCode}`);
    response.setEncoding('latin1');
    response.on('data', (chunk: string) => this.#take(chunk));
    for (const end of ['end', 'error']) response.on(end, () => (this.isCutOff = !isOver));
  }

  #take(chunk: string): void {
    const text = this.#rest + chunk;
    let last = 0;
    for (const found of text.matchAll(/tick (\d{12}) x/g)) {
      const number = Number(found[1]);
      if (this.#next !== undefined && number !== this.#next) this.wrong += 1;
      this.#next = number + 1;
      this.lines += 1;
      last = found.index + found[0].length;
    }
    this.#rest = text.slice(Math.max(last, text.length - 20));
  }
}

let isOver = false;
const followers: Follower[] = [];
const begun = load.followers.flatMap(({ count, ...asked }) =>
  Array.from({ length: count }, async () => {
    const follower = new Follower();
    followers.push(follower);
    await follower.begin(asked);
  }),
);
await Promise.all(begun);
const readNothing = load.followers.at(-1);
const stalled = await Promise.all(
  Array.from({ length: readNothing ? load.stalled : 0 }, async () => {
    const response = await ask(readNothing as Asked, false);
    return response.on('error', () => {}).pause();
  }),
);

/** A request is due at its time whatever became of those before: a slow server is not asked less. */
const began = performance.now();
const answers: Promise<void>[] = [];
for (let n = 0; n < load.seconds * load.requestsPerSecond; n++) {
  const due = began + (n * 1_000) / load.requestsPerSecond;
  while (performance.now() < due) await sleep(1);
  answers.push(
    (async () => {
      try {
        const response = await ask(load.asked, agent);
        for await (const _ of response);
        if (response.statusCode !== 200) failed += 1;
      } catch {
        failed += 1;
      }
      tookMs.push(performance.now() - due);
    })(),
  );
}
await Promise.all(answers);
isOver = true;

const dropped = await Promise.all(
  stalled.map(async (response) => {
    let isEnded = false;
    for (const end of ['end', 'close', 'aborted']) response.once(end, () => (isEnded = true));
    response.resume();
    for (let n = 0; n < 20 && !isEnded; n++) await sleep(50);
    return isEnded;
  }),
);
const report: LoadReport = {
  tookMs: tookMs.toSorted((a, b) => a - b).map((ms) => Math.round(ms * 100) / 100),
  failed,
  followers: followers.length,
  cutOff: followers.filter((each) => each.isCutOff).length,
  lines: followers.reduce((sum, { lines }) => sum + lines, 0),
  wrongLines: followers.reduce((sum, { wrong }) => sum + wrong, 0),
  stalled: stalled.length,
  dropped: dropped.filter(Boolean).length,
};
process.stdout.write(JSON.stringify(report), () => process.exit(0));
