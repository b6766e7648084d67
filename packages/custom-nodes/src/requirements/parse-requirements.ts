import { isAbsolute } from 'node:path';
import { expectGitUrl } from '@mgpu/core/git';
import { packageName } from '@mgpu/core/python';

/** One requirement of a `requirements.txt`. */
export interface Requirement {
  /** As `packageName` has it; undefined for a bare URL. */
  readonly name: string | undefined;
  /** As it is given to the installer: comments, options and continuations gone. */
  readonly text: string;
  /** Version specifiers, without extras and marker: `>=2,<3`. */
  readonly specifier: string;
  /** Extras, in square brackets. */
  readonly extras: string;
  /** `; python_version < "3.12"`, with its semicolon; empty without one. */
  readonly marker: string;
  /** From a URL, not from an index. */
  readonly isDirect: boolean;
}

export interface ParsedRequirements {
  readonly requirements: readonly Requirement[];
  /** Other files that it names with `-r`, relative to it. */
  readonly includes: readonly string[];
  /** What was left out. */
  readonly warnings: readonly string[];
  /** Lines that mean nothing. */
  readonly problems: readonly string[];
}

const nameForm = '[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?';
// Blanks come one at a time here: patterns that could share out many of them would take forever over hostile lines.
const named = new RegExp(`^(${nameForm}) ?(\\[[\\w ,.-]*\\])? ?(?:\\(([^)]*)\\) ?|([^;@]*))(;.*)?$`);
const direct = new RegExp(`^(${nameForm}) ?(\\[[\\w ,.-]*\\])? ?@ ?([^ ]+)( ;.*)?$`);
const clause = /^(?:===?|~=|!=|<=?|>=?)\s*[\w.*+!-]+$/;

/**
 * Reads a `requirements.txt` that a stranger wrote. Taken: requirements with extras, versions, markers and https or Git
 * URLs. Left out with a warning: whatever would change where packages come from or would run something of this machine
 * (options, editable and local paths, variables).
 */
export function parseRequirements(text: string): ParsedRequirements {
  const parsed = {
    requirements: [] as Requirement[],
    includes: [] as string[],
    warnings: [] as string[],
    problems: [] as string[],
  };
  for (const { number, line } of logicalLines(text)) readLine(line, number, parsed);
  return parsed;
}

/** No requirement is that long, and patterns take their time over what is longer. */
const longestLine = 4_000;

type Mutable = { [K in keyof ParsedRequirements]: ParsedRequirements[K][number][] };

function readLine(raw: string, number: number, { requirements, includes, warnings, problems }: Mutable): void {
  if (raw.length > longestLine) return void problems.push(`line ${number}: it has ${raw.length} characters`);
  const line = raw.replace(/\s+/g, ' ');
  const leaveOut = (what: string) => warnings.push(`line ${number}: ${what} is left out: ${line.slice(0, 120)}`);
  const [, include] = /^(?:-r|--requirement)(?:\s+|=)?(\S.*)$/.exec(line) ?? [];
  if (include !== undefined) return void includes.push(include.trim().replace(/^(["'])(.*)\1$/, '$2'));
  if (line.startsWith('-')) return void leaveOut('an option');
  if (/\$\{\w+\}/.test(line)) return void leaveOut('a line with a variable of this machine');
  const [body = '', ...options] = line.split(/\s+(?=--[a-z])/);
  if (options.length > 0) leaveOut(`${options.map((each) => each.split(/[\s=]/)[0]).join(', ')} of a requirement`);
  if (isLocal(body)) return void leaveOut('a path of this machine');
  const requirement = readRequirement(body.trim());
  if (typeof requirement === 'string') problems.push(`line ${number}: ${requirement}: ${body.slice(0, 120)}`);
  else requirements.push(requirement);
}

const isLocal = (body: string): boolean =>
  /^\.{0,2}\/|^\.{1,2}$|^file:|@\s*(?:file:|\.{0,2}\/)/.test(body) || isAbsolute(body);

/** The requirement, or what is wrong with it. */
function readRequirement(body: string): Requirement | string {
  if (/ -/.test(body)) return 'an option stands in it';
  const bare = /^[a-z+]+:\/\//i.test(body);
  if (bare) {
    const [url = '', ...marker] = body.split(/\s+(?=;)/);
    const [, egg] = /[#&]egg=([A-Za-z0-9._-]+)/.exec(url) ?? [];
    const base = { extras: '', specifier: '', isDirect: true, marker: marker.join(' ') };
    const problem = whyNoSource(url);
    return problem ?? { ...base, name: egg === undefined ? undefined : packageName(egg), text: body };
  }
  const [, directName, directExtras = '', url, directMarker = ''] = direct.exec(body) ?? [];
  if (directName !== undefined && url !== undefined) {
    const marker = directMarker.trim();
    const text = `${directName}${directExtras} @ ${url}${marker && ` ${marker}`}`;
    const made = { name: packageName(directName), text, specifier: '', extras: directExtras, marker, isDirect: true };
    return whyNoSource(url) ?? made;
  }
  const [, name, extras = '', bracketed, open = '', marker = ''] = named.exec(body) ?? [];
  if (name === undefined) return 'it is no requirement';
  const clauses = (bracketed ?? open)
    .split(',')
    .map((each) => each.trim())
    .filter(Boolean);
  const wrong = clauses.find((each) => !clause.test(each));
  if (wrong !== undefined) return `"${wrong}" is no version`;
  const specifier = clauses.map((each) => each.replace(/\s+/g, '')).join(',');
  const text = `${name}${extras}${specifier}${marker && ` ${marker.trim()}`}`;
  return { name: packageName(name), text, specifier, extras, marker: marker.trim(), isDirect: false };
}

/** Why packages are not taken from this URL. */
function whyNoSource(url: string): string | undefined {
  if (/^https?:\/\/\S+$/i.test(url)) return undefined;
  const [, repository] = /^git\+([a-z+]+:\/\/[^#]+)/i.exec(url) ?? [];
  if (repository === undefined || /^file:/i.test(repository)) return 'it is neither an https nor a Git URL';
  try {
    expectGitUrl(repository);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Lines as pip sees them: continued ones joined, comments gone, with the number of their first line. */
function* logicalLines(text: string): Iterable<{ number: number; line: string }> {
  let pending = '';
  let first = 0;
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\r|\n/);
  for (const [index, raw] of lines.entries()) {
    if (pending === '') first = index + 1;
    const isComment = /^\s*#/.test(raw);
    if (!isComment && /\\$/.test(raw)) {
      pending += raw.slice(0, -1);
      continue;
    }
    const line = withoutComment(isComment ? pending : pending + raw);
    pending = '';
    if (line !== '') yield { number: first, line };
  }
  const line = withoutComment(pending);
  if (line !== '') yield { number: first, line };
}

const withoutComment = (line: string) => (line.length > longestLine ? line : line.replace(/(^|\s+)#.*$/, '').trim());
