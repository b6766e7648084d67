import { cudaFault, type MgpuError } from '@mgpu/core/jobs';
import {
  OllamaBadAnswerError,
  OllamaBusyError,
  OllamaEngineFaultError,
  OllamaFailedError,
  OllamaModelMissingError,
  OllamaModelUnknownError,
  OllamaOutOfMemoryError,
  OllamaPullFailedError,
  OllamaRefusedError,
} from '../errors.ts';

/** What was asked, for messages. */
export interface Asked {
  /** E.g. `POST /api/chat`. */
  readonly request: string;
  /** Absolute address. */
  readonly url: string;
  /** The model it is about. */
  readonly model: string | undefined;
}

const maxChars = 500;
/** In host memory, too: `model requires more system memory (5.6 GiB) than is available (3.2 GiB)`. */
const outOfMemory = /out of memory|requires more (system|GPU) memory|insufficient (memory|VRAM)/i;

/** A status that is no success, with what was said besides. */
export function statusFailure({ request, url, model }: Asked, status: number, text: string | undefined): MgpuError {
  if (status === 404 && model !== undefined && /\bmodel\b.*\bnot found\b/.test(text ?? ''))
    return new OllamaModelMissingError({ model, url });
  if (status === 503) return new OllamaBusyError({ url });
  if (status < 500) return new OllamaRefusedError({ request, status, answer: (text ?? '').slice(0, maxChars) });
  if (text === undefined) return new OllamaBadAnswerError({ url, problem: `status ${status}` });
  return spokenFailure({ request, url, model }, text);
}

/** What a stream that had begun, or a status of 500, says. */
export function spokenFailure({ request }: Asked, text: string): MgpuError {
  const problem = text.slice(0, maxChars);
  const fault = cudaFault(text);
  if (fault === 'poisoned') return new OllamaEngineFaultError({ request, problem, fault: 'engine-fault' });
  if (fault === 'out-of-memory' || outOfMemory.test(text)) return new OllamaOutOfMemoryError({ request, problem });
  return new OllamaFailedError({ request, problem });
}

/** The same for a pull, which has other reasons to fail. */
export function pullFailure(model: string, problem: string): MgpuError {
  const isUnknown = /file does not exist|not found|invalid model name/i.test(problem);
  return isUnknown ? new OllamaModelUnknownError({ model, problem }) : new OllamaPullFailedError({ model, problem });
}
