import { stripVTControlCharacters } from 'node:util';
import type { LogLevel } from '../logs/logger.ts';

/** Characters of a line that are looked at: what says its level stands at its beginning, or soon behind a time. */
const headLength = 256;

const levels: Readonly<Record<string, LogLevel>> = {
  trace: 'debug',
  debug: 'debug',
  verbose: 'debug',
  info: 'info',
  notice: 'info',
  warn: 'warn',
  warning: 'warn',
  error: 'error',
  err: 'error',
  crit: 'error',
  critical: 'error',
  alert: 'error',
  emerg: 'error',
  fatal: 'error',
  panic: 'error',
};
const word = Object.keys(levels).join('|');
const loudWord = word.toUpperCase();

/** The first group is the word. */
const byWord: readonly RegExp[] = [
  // {"level":"warn",…}, of ours and of most others
  new RegExp(`^\\{.*?"(?:level|levelname|severity)"\\s*:\\s*"(${word})"`, 'i'),
  // time=… level=WARN source=… (Ollama)
  new RegExp(`(?:^|\\s)level=(${word})\\b`, 'i'),
  // WARNING: … (Python, uvicorn), [ERROR] …, *** ERROR …; in small letters only where it is set off: error: …, [warn] …
  new RegExp(`^[\\s[(<*!|-]*(${loudWord})(?=[\\s:\\])>|,-]|$)`),
  new RegExp(`^\\s*(${word})(?=:)`, 'i'),
  // 2026-11-26 12:00:00,123 - name - WARNING - …, [2026-11-26 12:00:00] ERROR …, [Manager] WARNING: …
  new RegExp(`^\\[?\\d{2,4}[-/:.T]\\d.{0,100}?[\\s\\[(|<-](${loudWord})(?=[\\s:\\])>|,-]|$)`),
  new RegExp(`^(?:\\[[^\\]]{1,60}\\]\\s*){1,4}\\[?(${loudWord})(?=[\\s:\\]|,-]|$)`),
  // 2026/11/26 12:00:00 [error] 123#0: … (nginx), [error] …
  new RegExp(`^(?:\\d{4}[-/].{0,40}?)?\\[(${word})\\]`, 'i'),
];

const byForm: readonly (readonly [LogLevel, RegExp])[] = [
  // Python: a traceback, what it ends with, and warnings.
  ['error', /^Traceback \(most recent call last\)/],
  ['error', /^(?:\w+\.){0,6}[A-Z]\w{0,60}(?:Error|Exception|Interrupt)(?::|$)/],
  ['warn', /^(?:\S{1,200}:\d+: )?\w{0,40}Warning: /],
  // ComfyUI
  [
    'error',
    /^!!! |^(?:\[ERROR\] )?Cannot import \S+ module for custom nodes|^Failed to validate prompt|^Invalid prompt/,
  ],
  ['info', /^(?:got prompt|Prompt executed in |To see the GUI go to|Total VRAM |Starting server$)/],
  // Automatic1111
  ['error', /^\*{3} Error/],
  [
    'info',
    /^(?:Loading weights \[|Model loaded in |Running on local URL|Startup time: |Applying attention optimi[sz]ation)/,
  ],
  // Progress of tqdm, of both of them.
  ['info', /^(?:[^|%]{1,60}: +)?\s*\d{1,3}%\s?\|/],
  // Ollama: requests. Glog: E1126 12:00:00.000000. Redis: 1:M 26 Nov 2026 12:00:00.000 #
  ['info', /^\[GIN\] /],
  ['error', /^[EF]\d{4} \d\d:\d\d:\d\d/],
  ['warn', /^W\d{4} \d\d:\d\d:\d\d/],
  ['info', /^I\d{4} \d\d:\d\d:\d\d/],
  ['warn', /^\d+:[A-Z] \d\d \w{3} \d{4} [\d:.]+ #/],
  ['info', /^\d+:[A-Z] \d\d \w{3} \d{4} [\d:.]+ \*/],
  ['debug', /^\d+:[A-Z] \d\d \w{3} \d{4} [\d:.]+ [.-]/],
];

/**
 * How severe a line of a program's output is, as far as the line says so itself: by the words and forms of Python, ComfyUI,
 * Automatic1111, Ollama, nginx, Redis and our own JSON. Undefined where it does not, as within a traceback: such a line is
 * as severe as the one before it.
 */
export function lineLevel(text: string): LogLevel | undefined {
  const start = text.slice(0, headLength);
  const head = start.includes('\u001B') ? stripVTControlCharacters(start) : start;
  for (const pattern of byWord) {
    const found = pattern.exec(head)?.[1];
    if (found !== undefined) return levels[found.toLowerCase()];
  }
  return byForm.find(([, pattern]) => pattern.test(head))?.[0];
}
