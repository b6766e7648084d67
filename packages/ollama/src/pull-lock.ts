import { type Clock, coreErrors, isFolderLocked, lockFolder, systemClock } from '@mgpu/core';

export interface PullLockOptions {
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock;
  /** Called once, when somebody else pulls at present. */
  readonly onWait?: () => void;
}

const pauseMs = 500;

/**
 * Waits until nobody of this host pulls into a folder of models, and keeps others from it until disposed of: two servers that wrote
 * the same half layer would spoil it. Makes the folder. Rejects with the signal's reason.
 */
export async function lockPulls(
  modelsDir: string,
  { signal, clock = systemClock, onWait }: PullLockOptions = {},
): Promise<Disposable> {
  for (let isFirst = true; ; isFirst = false) {
    try {
      return await lockFolder(modelsDir);
    } catch (error) {
      if (!(error instanceof coreErrors.FolderBusyError)) throw error;
    }
    if (isFirst) onWait?.();
    do await clock.sleep(pauseMs, { signal });
    while (await isFolderLocked(modelsDir));
  }
}
