import { type ErrorReport, systemClock } from '@mgpu/core';

/** How far a command has come. */
export interface CommandProgress {
  /** One line for people. */
  readonly text: string;
  readonly percent?: number | undefined;
}

/** What a command tells the program that started it, beside its answer. */
export type CommandNews =
  | { readonly event: 'progress'; readonly progress: CommandProgress }
  | { readonly event: 'notice'; readonly text: string }
  /** What it failed at when it had answered already. */
  | { readonly event: 'failed'; readonly error: ErrorReport };

export interface NewsChannel {
  send(news: CommandNews): void;
  /** At most five times a second; of what comes faster the last is told. */
  progress(progress: CommandProgress): void;
}

const progressMs = 200;

/** Set for a command that is to tell: other programs have a channel to what they start, too, and do not listen for news. */
const askedName = 'MGPU_TELLS_NEWS';
export const askingForNews: Readonly<Record<string, string>> = { [askedName]: 'yes' };

/**
 * Undefined unless whoever started this process has a channel to it (`process.send`) and listens. Asked once: of what this process
 * starts nobody hears news, and its environment says so from then on.
 */
export function newsChannelOf(process: NodeJS.Process): NewsChannel | undefined {
  const isAsked = process.env[askedName] !== undefined;
  delete process.env[askedName];
  if (process.send === undefined || !isAsked) return undefined;
  let latest: CommandProgress | undefined;
  let isPausing = false;
  const send = (news: CommandNews) => {
    // Whoever is gone has lost interest.
    if (process.connected) process.send?.(news, undefined, undefined, () => {});
  };
  const tell = async () => {
    isPausing = true;
    while (latest !== undefined) {
      const progress = latest;
      latest = undefined;
      send({ event: 'progress', progress });
      await systemClock.sleep(progressMs);
    }
    isPausing = false;
  };
  return {
    send,
    progress: (progress) => {
      latest = progress;
      if (!isPausing) void tell();
    },
  };
}
