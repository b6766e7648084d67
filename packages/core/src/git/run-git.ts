import { type outputHandler, type SimpleGit, type SimpleGitOptions, simpleGit } from 'simple-git';
import { asFailure } from './git-failure.ts';
import { withoutSecret } from './git-url.ts';

export interface GitOptions {
  /** The environment it inherits: PATH, HOME with its configuration and keys, an SSH agent. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds without a sign of life before a command is given up. Default 120,000. */
  readonly stallMs?: number;
  readonly onProgress?: (progress: GitProgress) => void;
}

export interface GitProgress {
  /** Git's own word: `receiving`, `resolving`, … */
  readonly stage: string;
  readonly percent: number;
}

export interface GitCall {
  readonly url: string;
  /** In the past participle: `fetched`. */
  readonly action: string;
  /** Where it is run; default the working directory. */
  readonly dir?: string | undefined;
  /** Settings for this call, `name=value`. */
  readonly config?: readonly string[];
}

/** `runGit` with its options given. */
export type RunGit = (call: GitCall, work: (git: SimpleGit) => Promise<string>) => Promise<string>;

/** What Git may learn from the environment beyond what is no concern of its own; everything else `GIT_*` is kept from it. */
const allowEnvironment = [
  'GIT_TERMINAL_PROMPT',
  'GIT_SSH_COMMAND',
  'GIT_SSL_CAINFO',
  'GIT_SSL_CAPATH',
  'GIT_CONFIG_GLOBAL',
  'GIT_CONFIG_NOSYSTEM',
  'GIT_LFS_SKIP_SMUDGE',
];

/** Programs that would show something to somebody, or ask: Git has no need of them here, and simple-git refuses them. */
const interactive = new Set(['EDITOR', 'VISUAL', 'PAGER', 'SSH_ASKPASS', 'PREFIX']);

/**
 * Runs Git commands and gives back what they print. `url` names the repository in messages, `action` what was to be done to it.
 */
export async function runGit(
  { env, signal, stallMs = 120_000, onProgress }: GitOptions,
  { url, action, dir, config = [] }: GitCall,
  work: (git: SimpleGit) => Promise<string>,
): Promise<string> {
  const options: Partial<SimpleGitOptions> = {
    ...(dir === undefined ? {} : { baseDir: dir }),
    ...(signal ? { abort: signal } : {}),
    ...(onProgress ? { progress: ({ stage, progress }) => onProgress({ stage, percent: progress }) } : {}),
    timeout: { block: stallMs },
    allowEnvironment,
    // Without it the operator's own way through a firewall would not be heeded; it comes from our environment alone.
    unsafe: { allowUnsafeSshCommand: true, allowUnsafeConfigPaths: true, allowUnsafeProtocolOverride: true },
    config: [...config],
    trimmed: true,
  };
  try {
    return await work(simpleGit(options).env(environmentFor(env)).outputHandler(beHeard));
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw asFailure(error as Error, { url: withoutSecret(url), action, stallMs });
  }
}

/**
 * For a command that printed nothing simple-git waits 50 ms more, lest words come late. None can: its streams are closed by
 * then. An empty piece of output counts for words.
 */
const beHeard: outputHandler = (_, stdout) => queueMicrotask(() => stdout.emit('data', Buffer.alloc(0)));

function environmentFor(env: GitOptions['env']): Record<string, string | undefined> {
  const allowed = Object.entries(env).filter(([name]) =>
    name.startsWith('GIT_') ? allowEnvironment.includes(name) : !interactive.has(name.toUpperCase()),
  );
  return {
    ...Object.fromEntries(allowed),
    LC_ALL: 'C', // its words are read
    GIT_TERMINAL_PROMPT: '0',
    GIT_SSH_COMMAND: env.GIT_SSH_COMMAND ?? 'ssh -oBatchMode=yes -oConnectTimeout=20',
  };
}
