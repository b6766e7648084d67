import { type MgpuError, reportError, reviveError } from '@mgpu/core';
import { digest } from './canonical.ts';
import { isEnabled, type NodeEntry } from './node-list/entry.ts';
import type { Intent } from './plan-nodes.ts';
import type { Memory } from './state-files.ts';

/** Codes of failures that follow from the inputs alone: tried again they would come again. */
const lasting = new Set([
  'CORE_PACKAGES_FAILED',
  'NODES_CONFLICT',
  'NODES_PROTECTED',
  'NODES_PROTECTED_CHANGED',
  'NODES_REQUIREMENTS_INVALID',
  'NODES_SCRIPT_FAILED',
]);

export const isLasting = ({ code, retryable }: MgpuError): boolean => lasting.has(code) && !retryable;

/** Whether a failure followed from its node alone. */
const isOwnFault = (code: string) => code === 'NODES_SCRIPT_FAILED' || code === 'NODES_REQUIREMENTS_INVALID';

/** What a failure of a node follows from: its inputs and, for requirements, everybody else's. */
function failureInputs(intents: readonly Intent[], intent: Intent, circumstances: unknown) {
  const { entry, to, from } = intent;
  const { env: _env, enabled: _enabled, ...words } = entry ?? ({} as NodeEntry);
  // A commit as the list has it comes first: that is known before it is fetched and after.
  const own = [circumstances, words, entry?.commit ?? to ?? from ?? null];
  const peers = intents.flatMap((each) =>
    each.entry && isEnabled(each.entry) && each.entry.requirements !== false
      ? `${each.name} ${each.url} ${each.entry.commit ?? each.to ?? each.from ?? '?'}`
      : [],
  );
  return { script: digest(['script', own]), requirements: digest(['requirements', own, peers.sort()]) };
}

/** The failures of an apply that would come again, as they go into memory. */
export function lastingFailures(
  nodes: readonly { readonly intent: Intent; readonly error: MgpuError | undefined }[],
  circumstances: unknown,
): Memory['failures'] {
  const intents = nodes.map(({ intent }) => intent);
  const failures: Memory['failures'] = {};
  for (const { intent, error } of nodes) {
    if (!error || !isLasting(error) || !intent.entry) continue;
    const inputs = failureInputs(intents, intent, circumstances);
    failures[intent.name] = {
      inputs: isOwnFault(error.code) ? inputs.script : inputs.requirements,
      report: reportError(error),
    };
  }
  return failures;
}

/** The intents, blocked where an earlier failure still stands. */
export function withFailures(intents: readonly Intent[], { failures }: Memory, circumstances: unknown): Intent[] {
  return intents.map((intent) => {
    const failure = failures[intent.name];
    if (!failure || intent.blocked || !intent.entry || !isEnabled(intent.entry)) return intent;
    const inputs = failureInputs(intents, intent, circumstances);
    if (failure.inputs !== inputs.script && failure.inputs !== inputs.requirements) return intent;
    return { ...intent, blocked: reviveError(failure.report), isRemembered: true };
  });
}
