// subject.mjs <port> <behaviour as JSON>: an HTTP service that numbers the lines it prints, writes down each of its starts
// in `<instance>/starts` and each time it listens in `<instance>/listening` (pid and milliseconds since the epoch), counts
// its lines by the length of `<instance>/said/<author>`, and falls ill as it is told: by its behaviour from the start, by
// POST / later.
import { spawn } from 'node:child_process';
import { appendFileSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';

const [port, text = '{}'] = process.argv.slice(2);
const behaviour = JSON.parse(text);
/** Who says a line: helpers have numbers of their own. */
const author = `${process.env.MGPU_RUN}/${process.pid}`;
const folder = process.env.MGPU_INSTANCE ?? '.';
const bornAt = performance.now();
/** Held for good. */
const eaten = [];

process.on('SIGTERM', () => {
  if (!behaviour.ignoreTerm) process.exit(0);
});

/** What is still to be written of the last line: first of all next time. */
let rest = Buffer.alloc(0);
let lines = 0;
/** Bytes of all that was written. */
let bytes = 0;
let counter;

/** Prints the next numbered line, or only its bytes up to `cut`, or the rest of the last one. */
function say(text = '', cut = undefined) {
  const line = rest.length > 0 ? rest : Buffer.from(`n=${lines + 1} of ${author} at=${Date.now()}${text}\n`);
  let written;
  try {
    written = writeSync(1, line.subarray(0, cut));
  } catch (error) {
    if (error.code !== 'ENOSPC' && error.code !== 'EAGAIN') throw error;
    return; // tried again with the next line
  }
  rest = line.subarray(written);
  bytes += written;
  if (rest.length > 0) return;
  lines += 1;
  count();
}

/**
 * Where it outlives this process: what the log has to give back. The count is the length of a file, which is read whole: of
 * digits, who reads them while they are written may see some of the old and some of the new.
 */
function count() {
  if (counter === undefined) {
    const file = join(folder, 'said', author);
    mkdirSync(dirname(file), { recursive: true });
    counter = openSync(file, 'w');
  }
  ftruncateSync(counter, lines);
}

/** Prints until so many lines of a kilobyte are out, in turns: requests are answered meanwhile. */
function flood(until) {
  for (let n = 0; n < 200 && lines < until; n++) say(' .'.repeat(480));
  if (lines < until) setImmediate(flood, until);
}

/** Prints so many lines of characters of four bytes, each line in two writes that cut a character, until told to stop. */
function speakInPieces(until) {
  if (rest.length > 0) say();
  else say(` ${'\u{1f600}'.repeat(200)}`, -3);
  if ((lines < until && behaviour.pieces) || rest.length > 0) setImmediate(speakInPieces, until);
}

/** One line of text that is as long as this. */
function ramble(length) {
  const words = Buffer.alloc(1_000_000, 'word ');
  for (let left = length; left > 0; left -= words.length) bytes += writeSync(1, words.subarray(0, left));
  bytes += writeSync(1, '\n');
}

/** Bytes that are no text, in one line; then lines go on. */
function makeNoise(length) {
  const noise = Buffer.alloc(1_000_000, 0);
  for (let n = 0; n < noise.length; n++) noise[n] = n % 251 === 10 ? 0xff : n % 251;
  for (let left = length; left > 0; left -= noise.length) bytes += writeSync(1, noise.subarray(0, left));
  bytes += writeSync(1, '\n');
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
    if (behaviour.hang === 'half-open') {
      response.socket.end(); // what the other side sends would still be read
      return;
    }
    if (request.url === '/ready') isEven = !isEven;
    const isReady = performance.now() - bornAt >= (behaviour.readyAfterMs ?? 0);
    const isIll = behaviour.neverReady || !isReady || (behaviour.flap && isEven);
    if (request.url === '/ready' && isIll) response.writeHead(503);
    response.end(JSON.stringify({ pid: process.pid, author, lines, bytes }));
  });
  server.listen(Number(port), '127.0.0.1', () => {
    appendFileSync(join(folder, 'listening'), `${process.pid} ${Date.now()}\n`);
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
  if (behaviour.ramble) ramble(behaviour.ramble);
  if (behaviour.pieces) speakInPieces(lines + behaviour.pieces);
  if (behaviour.flood) flood(behaviour.flood);
}

if (behaviour.role === 'helper') {
  if (behaviour.listens) serve();
  else setInterval(() => {}, 1_000);
} else if (behaviour.role === 'middle') {
  help('session');
} else {
  const starts = join(folder, 'starts');
  appendFileSync(starts, `${process.pid} ${Math.round(performance.timeOrigin)}\n`);
  const { code = 1, times = Number.POSITIVE_INFINITY } = behaviour.exitAtStart ?? { times: 0 };
  if (readFileSync(starts, 'utf8').split('\n').length - 1 <= times) {
    console.error('does not feel like it');
    process.exit(code);
  }
  if (behaviour.helper) help(behaviour.helper);
  if (behaviour.helperListens) setInterval(say, 20);
  else setTimeout(serve, behaviour.startMs ?? 0);
}
