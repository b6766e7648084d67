// subject.mjs <port> <behaviour as JSON>: an HTTP service that numbers the lines it prints, writes down each of its starts
// in `<instance>/starts`, and falls ill as it is told: by its behaviour from the start, by POST / later.
import { spawn } from 'node:child_process';
import { appendFileSync, readFileSync, writeSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';

const [port, text = '{}'] = process.argv.slice(2);
const behaviour = JSON.parse(text);
/** Who says a line: helpers have numbers of their own. */
const author = `${process.env.MGPU_RUN}/${process.pid}`;
const bornAt = performance.now();
/** Held for good. */
const eaten = [];

process.on('SIGTERM', () => {
  if (!behaviour.ignoreTerm) process.exit(0);
});

/** What the file system did not take of the last line: first of all next time. */
let rest = Buffer.alloc(0);
let lines = 0;

function say(padding = 0) {
  if (rest.length === 0) rest = Buffer.from(`n=${lines + 1} of ${author}${' .'.repeat(padding)}\n`);
  try {
    rest = rest.subarray(writeSync(1, rest));
  } catch (error) {
    if (error.code !== 'ENOSPC' && error.code !== 'EAGAIN') throw error;
    return; // tried again with the next line
  }
  if (rest.length === 0) lines += 1;
}

/** Prints until so many lines of a kilobyte are out, in turns: requests are answered meanwhile. */
function flood(until) {
  for (let n = 0; n < 200 && lines < until; n++) say(480);
  if (lines < until) setImmediate(flood, until);
}

/** Bytes that are no text, in one line; then lines go on. */
function makeNoise(bytes) {
  const noise = Buffer.alloc(1_000_000, 0);
  for (let n = 0; n < noise.length; n++) noise[n] = n % 251 === 10 ? 0xff : n % 251;
  for (let left = bytes; left > 0; left -= noise.length) writeSync(1, noise);
  writeSync(1, '\n');
}

/** A process of its own mind: it ignores SIGTERM, and in a session of its own neither group nor parent lead to it. */
function help(where) {
  const own = { role: 'helper', ignoreTerm: true, listens: behaviour.helperListens };
  const isHidden = where === 'session' && behaviour.role !== 'middle';
  const next = isHidden ? { ...behaviour, role: 'middle' } : own;
  const args = [import.meta.filename, port, JSON.stringify(next)];
  const child = spawn(process.execPath, args, {
    detached: where === 'session',
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  child.unref();
}

function serve() {
  let isEven = false;
  const server = createServer(async (request, response) => {
    if (request.method === 'POST') {
      let body = '';
      for await (const chunk of request) body += chunk;
      Object.assign(behaviour, JSON.parse(body));
      response.end();
      fallIll();
      return;
    }
    if (behaviour.hang === 'silent') return;
    if (behaviour.hang === 'drip') {
      response.writeHead(200);
      setInterval(() => response.write('.'), 100);
      return;
    }
    if (request.url === '/ready') isEven = !isEven;
    const isReady = performance.now() - bornAt >= (behaviour.readyAfterMs ?? 0);
    const isIll = behaviour.neverReady || !isReady || (behaviour.flap && isEven);
    if (request.url === '/ready' && isIll) response.writeHead(503);
    response.end(JSON.stringify({ pid: process.pid, author, lines }));
  });
  server.listen(Number(port), '127.0.0.1', () => {
    fallIll();
    if (behaviour.role !== 'helper') setInterval(say, 20);
  });
}

function fallIll() {
  const { exit, dieAfterMs, killed } = behaviour;
  if (exit !== undefined) process.exit(exit);
  if (killed) process.kill(process.pid, killed);
  if (dieAfterMs !== undefined) setTimeout(() => process.exit(1), dieAfterMs);
  if (behaviour.zombie) spawn('sh', ['-c', 'sleep 0.01 & exec sleep 100000'], { stdio: 'ignore' });
  for (let n = 0; n < (behaviour.eatMiB ?? 0); n++) eaten.push(Buffer.alloc(1_048_576, 1));
  if (behaviour.noise) makeNoise(behaviour.noise);
  if (behaviour.flood) flood(behaviour.flood);
}

if (behaviour.role === 'helper') {
  if (behaviour.listens) serve();
  else setInterval(() => {}, 1_000);
} else if (behaviour.role === 'middle') {
  help('session');
} else {
  const starts = join(process.env.MGPU_INSTANCE ?? '.', 'starts');
  appendFileSync(starts, `${process.pid}\n`);
  const { code = 1, times = Number.POSITIVE_INFINITY } = behaviour.exitAtStart ?? { times: 0 };
  if (readFileSync(starts, 'utf8').split('\n').length - 1 <= times) {
    console.error('does not feel like it');
    process.exit(code);
  }
  if (behaviour.helper) help(behaviour.helper);
  if (behaviour.helperListens) setInterval(say, 20);
  else setTimeout(serve, behaviour.startMs ?? 0);
}
