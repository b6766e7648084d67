import type { MgpuError } from '@mgpu/core';
import { byInstallOrder, isEnabled, type NodeEntry } from '../node-list/entry.ts';
import type { Intent } from '../plan-nodes.ts';

/** One node, while it is worked on. */
export interface NodeWork {
  readonly intent: Intent;
  /** Where it lies; undefined: nowhere. */
  dir: string | undefined;
  commit: string | undefined;
  isEnabled: boolean;
  isChanged: boolean;
  error: MgpuError | undefined;
  readonly notes: string[];
  /** Its `.env` before we touched it. */
  formerEnv: string | undefined;
}

/** A node of the list that is in its place and well. */
export interface WorkInPlace extends NodeWork {
  readonly intent: Intent & { readonly entry: NodeEntry };
  dir: string;
}

export function workOn(intent: Intent): NodeWork {
  return {
    intent,
    dir: intent.present?.dir,
    commit: intent.present?.checkout.commit,
    isEnabled: intent.present?.isEnabled ?? false,
    isChanged: false,
    error: intent.blocked,
    notes: [...intent.notes],
    formerEnv: undefined,
  };
}

/** Whether something is to be done with the pack itself. */
export const isToMove = ({ intent, error }: NodeWork): boolean => intent.action !== 'none' && !error;

/** In install order. */
export const inPlace = (works: readonly NodeWork[]): WorkInPlace[] =>
  works.filter(isInPlace).sort((a, b) => byInstallOrder(a.intent.entry, b.intent.entry));

function isInPlace(work: NodeWork): work is WorkInPlace {
  const { intent, dir, error, isEnabled: isOn } = work;
  return intent.entry !== undefined && isEnabled(intent.entry) && dir !== undefined && isOn && !error;
}
