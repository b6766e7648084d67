import { defineError } from '@mgpu/core/jobs';

/** No checkout where one is configured. */
export const ComfyUIDirMissingError = defineError<{ dir: string; problem: string }>({
  code: 'COMFYUI_DIR_MISSING',
  message: ({ dir, problem }) => `there is no ComfyUI in ${dir}: ${problem}`,
  hint: 'install one with `mgpu comfyui setup`, or set services.comfyui.dir (or COMFYUI_DIR) to a checkout, the folder with main.py',
});

/** The Python that is to run the checkout is missing or may not be executed. */
export const ComfyUIPythonMissingError = defineError<{ python: string; problem: string }>({
  code: 'COMFYUI_PYTHON_MISSING',
  message: ({ python, problem }) => `the Python for ComfyUI, ${python}, ${problem}`,
  hint: 'set services.comfyui.python to the Python that has its requirements, or make a venv in the checkout',
});

/** Another ComfyUI answers on an instance's port. */
export const ComfyUIForeignProcessError = defineError<{
  instance: string;
  url: string;
  argv: readonly string[];
  pid?: number;
  command?: string;
}>({
  code: 'COMFYUI_FOREIGN_PROCESS',
  message: ({ instance, url, argv, pid, command }) =>
    `${instance}: ${url} is answered by another ComfyUI${pid === undefined ? '' : `, process ${pid} (${command})`}, started as: ${argv.join(' ').slice(0, 300)}`,
  hint: 'stop that one, or set services.comfyui.basePort to a free range',
});

/** No connection, or it broke. The cause has the code of the system. */
export const ComfyUIUnreachableError = defineError<{ url: string; problem: string }>({
  code: 'COMFYUI_UNREACHABLE',
  retryable: true,
  message: ({ url, problem }) => `ComfyUI at ${url} cannot be reached: ${problem}`,
  hint: 'check with `mgpu status` that it runs, and look into its log',
});

/** A 5xx status, no JSON, or JSON of another shape than the protocol has. */
export const ComfyUIBadAnswerError = defineError<{ url: string; problem: string }>({
  code: 'COMFYUI_BAD_ANSWER',
  retryable: true,
  message: ({ url, problem }) => `ComfyUI gave an answer to ${url} that makes no sense: ${problem}`,
  hint: 'check that this is a ComfyUI and nothing in between changes its answers',
});

/** A status below 500 that is not 200. */
export const ComfyUIRefusedError = defineError<{ request: string; status: number; answer: string }>({
  code: 'COMFYUI_REFUSED',
  message: ({ request, status, answer }) =>
    `ComfyUI refused ${request} with status ${status}${answer ? `: ${answer}` : ''}`,
});

/** A file that the engine named, or was asked for, is not there. */
export const ComfyUIFileMissingError = defineError<{ file: string; url: string }>({
  code: 'COMFYUI_FILE_MISSING',
  message: ({ file, url }) => `ComfyUI at ${url} has no file ${file}`,
});

/** A reader of events was so far behind that they were dropped. */
export const ComfyUIEventsLostError = defineError<{ url: string; behind: number }>({
  code: 'COMFYUI_EVENTS_LOST',
  retryable: true,
  message: ({ url, behind }) => `the reader of the events of ${url} fell ${behind} events behind`,
  hint: 'read faster, or leave out previews',
});

/** The oldest version that keeps the ids it is given with prompts and interrupts by id. */
export const minVersion = '0.3.57';

/** The engine does not understand what is relied on. */
export const ComfyUITooOldError = defineError<{ where: string; observed: string }>({
  code: 'COMFYUI_TOO_OLD',
  message: ({ where, observed }) =>
    `${where}: this ComfyUI ${observed}; ${minVersion} is the oldest that mgpu can drive`,
  hint: 'update the ComfyUI checkout and the requirements in its Python',
});

/** A file is above the engine's `--max-upload-size`. */
export const ComfyUIUploadTooLargeError = defineError<{ name: string; bytes: number; url: string }>({
  code: 'COMFYUI_UPLOAD_TOO_LARGE',
  message: ({ name, bytes, url }) =>
    `ComfyUI at ${url} takes no file as large as ${name} with its ${Math.ceil(bytes / 1024 ** 2)} MB`,
  hint: "raise its limit (100 MB by default) with services.comfyui.args: ['--max-upload-size', '<MB>']",
});

/** The engine validated a workflow and does not accept it. */
export const ComfyUIPromptInvalidError = defineError<{
  /** The engine's own `error` object. */
  error: unknown;
  /** The engine's own `node_errors`. */
  nodeErrors: unknown;
  problems: readonly string[];
}>({
  code: 'COMFYUI_PROMPT_INVALID',
  message: ({ problems }) =>
    `ComfyUI refused the workflow: ${problems[0] ?? 'no reason given'}${problems.length > 1 ? ` (and ${problems.length - 1} more)` : ''}`,
  hint: 'correct the named node, or install what it needs; details.nodeErrors is what the engine said',
});

/** A job's input is no workflow in API format, or its uploads do not fit it. */
export const ComfyUIInputInvalidError = defineError<{ problems: readonly string[] }>({
  code: 'COMFYUI_INPUT_INVALID',
  message: ({ problems }) => `the input of a comfyui job is not valid: ${problems.join('; ')}`,
  hint: 'give { prompt: <workflow in API format> }; in ComfyUI: Workflow → Export (API)',
});

/** A job's file is not on this machine or cannot be read. */
export const ComfyUIUploadMissingError = defineError<{ path: string; problem: string }>({
  code: 'COMFYUI_UPLOAD_MISSING',
  message: ({ path, problem }) => `the file to upload, ${path}, cannot be read: ${problem}`,
});

interface NodeFailure extends Readonly<Record<string, unknown>> {
  readonly engine: string;
  readonly node: string;
  readonly nodeType: string;
  readonly exceptionType: string;
  readonly exceptionMessage: string;
  readonly traceback: readonly string[];
}
const failedNode = ({ engine, node, nodeType, exceptionType, exceptionMessage }: NodeFailure) =>
  `${engine}: node ${node} (${nodeType}) failed with ${exceptionType}: ${exceptionMessage}`;

/** A node raised an exception: the same again would fail again. */
export const ComfyUIExecutionFailedError = defineError<NodeFailure>({
  code: 'COMFYUI_EXECUTION_FAILED',
  message: failedNode,
  hint: 'details.traceback is what the node said; its inputs or the node itself need a change',
});

/** A node found too little memory on the GPU: it may do another time. */
export const ComfyUIOutOfMemoryError = defineError<NodeFailure>({
  code: 'COMFYUI_OUT_OF_MEMORY',
  retryable: true,
  message: failedNode,
  hint: 'the GPU had too little free memory: use a smaller picture, batch or model',
});

/** A node found the GPU unusable: everything fails until the engine is restarted. */
export const ComfyUIEngineFaultError = defineError<NodeFailure & { fault: 'engine-fault' }>({
  code: 'COMFYUI_ENGINE_FAULT',
  retryable: true,
  message: failedNode,
  hint: 'the engine cannot use its GPU any more: restart it',
});

/** The engine went away with a job and did not come back in time. */
export const ComfyUIEngineLostError = defineError<{
  engine: string;
  waitedMs: number;
  /** `engine-fault` when it had begun with the job. */
  fault: 'retryable' | 'engine-fault';
}>({
  code: 'COMFYUI_ENGINE_LOST',
  retryable: true,
  message: ({ engine, waitedMs }) =>
    `${engine}: went away with a job and did not come back within ${Math.round(waitedMs / 1000)} s`,
  hint: 'look into its log for why it ended',
});

/** The engine died of the same job more than once. */
export const ComfyUIJobKillsEngineError = defineError<{ engine: string; deaths: number }>({
  code: 'COMFYUI_JOB_KILLS_ENGINE',
  message: ({ engine, deaths }) =>
    `${engine}: ended ${deaths} times while it ran this job; it is not given to it again`,
  hint: "look into the engine's log for what it died of",
});

/** A prompt was interrupted, and not by a cancel of its job. */
export const ComfyUIInterruptedError = defineError<{ engine: string; node: string }>({
  code: 'COMFYUI_INTERRUPTED',
  message: ({ engine, node }) => `${engine}: somebody else interrupted the job at node ${node}`,
  hint: 'submit it again if that was not meant',
});

/** A prompt disappeared from an engine's queue that ran all the time. */
export const ComfyUIPromptRemovedError = defineError<{ engine: string; promptId: string }>({
  code: 'COMFYUI_PROMPT_REMOVED',
  message: ({ engine, promptId }) => `${engine}: somebody else removed prompt ${promptId} from its queue`,
  hint: 'submit the job again if that was not meant',
});

/** No generation has that name, or more than one begins with it. */
export const GenerationUnknownError = defineError<{ id: string; known: readonly string[] }>({
  code: 'COMFYUI_GENERATION_UNKNOWN',
  message: ({ id, known }) => `no one generation is "${id}"; there are: ${known.join(', ') || 'none'}`,
  hint: '`mgpu comfyui generations` lists them',
});

/** It was to be removed. */
export const GenerationInUseError = defineError<{ id: string; by: string }>({
  code: 'COMFYUI_GENERATION_IN_USE',
  message: ({ id, by }) => `generation ${id} is in use${by} and is not removed`,
  hint: 'switch to another one first',
});

/** Nothing was installed yet. */
export const NoGenerationError = defineError<{ dir: string }>({
  code: 'COMFYUI_NO_GENERATION',
  message: ({ dir }) => `no ComfyUI is installed in ${dir}`,
  hint: 'install it first: mgpu comfyui setup',
});

/** There is none to go back to. */
export const NoPreviousGenerationError = defineError<{ current: string | undefined }>({
  code: 'COMFYUI_NO_PREVIOUS_GENERATION',
  message: ({ current }) =>
    current === undefined
      ? 'no ComfyUI was set up yet'
      : `no generation was in force before ${current}, or it was removed`,
  hint: '`mgpu comfyui generations` lists those there are',
});

/** What was built does not work: it is not used. */
export const GenerationBrokenError = defineError<{ dir: string; problem: string }>({
  code: 'COMFYUI_GENERATION_BROKEN',
  message: ({ problem }) => `the new generation is not used: ${problem}`,
  hint: ({ dir }) => `it lies in ${dir}; nothing else has changed`,
});

/** An instance did not do with a new generation: all are back on the one before, but for those in `left`. */
export const RollOutFailedError = defineError<{
  id: string;
  instance: string;
  problem: string;
  former: string | undefined;
  /** Why instances could not be brought back. */
  left: readonly string[];
}>({
  code: 'COMFYUI_ROLL_OUT_FAILED',
  message: ({ id, instance, problem, former, left }) => {
    const end =
      left.length > 0
        ? `not all could be brought back: ${left.join('; ')}`
        : former === undefined
          ? 'it is not in force'
          : `everything is back on ${former}`;
    return `${instance} does not do with generation ${id}: ${problem}; ${end}`;
  },
  hint: ({ instance }) => `the log of ${instance} has more`,
});

/** An abbreviated commit: servers look up none. */
export const RefUnclearError = defineError<{ url: string; ref: string }>({
  code: 'COMFYUI_REF_UNCLEAR',
  message: ({ url, ref }) => `${url} has no branch or tag ${ref}, and commits are looked up only by their whole name`,
  hint: 'give all 40 digits of the commit',
});
