import { defineError } from '@mgpu/core/jobs';

/** There is no Ollama, and none may be downloaded. */
export const OllamaMissingError = defineError<{ looked: readonly string[] }>({
  code: 'OLLAMA_MISSING',
  message: ({ looked }) => `there is no Ollama on this machine (looked for ${looked.join(', ')})`,
  hint: 'allow its download with services.ollama.download.enabled: true, install it (https://ollama.com/download), or name it with services.ollama.program',
});

/** Nobody has written down what the archive of this version is to be. */
export const OllamaNoChecksumError = defineError<{ version: string; arch: string; known: readonly string[] }>({
  code: 'OLLAMA_NO_CHECKSUM',
  message: ({ version, arch, known }) =>
    `no checksum is known of Ollama ${version} for ${arch}; known are: ${known.join(', ')}`,
  hint: 'give it with services.ollama.download.sha256, from the sha256sum.txt of that release, or choose a known version',
});

/** The archive did not come, or not whole; what came of it is kept, and the next try goes on from there. */
export const OllamaDownloadError = defineError<{
  url: string;
  problem: string;
  bytes: number;
  /** The server's refusal, where that is the problem. */
  status?: number;
}>({
  code: 'OLLAMA_DOWNLOAD_FAILED',
  retryable: true,
  message: ({ url, problem, bytes }) =>
    `Ollama could not be downloaded from ${url}: ${problem}; ${bytes} bytes are kept`,
  hint: 'the next start goes on from there; services.ollama.download.url names another server',
});

/** What came is not what the release had. It was removed. */
export const OllamaChecksumError = defineError<{ url: string; expected: string; actual: string }>({
  code: 'OLLAMA_CHECKSUM',
  message: ({ url, expected, actual }) =>
    `the archive from ${url} has SHA-256 ${actual} instead of ${expected} and was removed`,
  hint: 'somebody changed it on the way, or services.ollama.download.sha256 is of another version; the next try begins anew',
});

/** The archive was what it is to be, and could not be unpacked. */
export const OllamaUnpackError = defineError<{ dir: string; problem: string }>({
  code: 'OLLAMA_UNPACK_FAILED',
  message: ({ dir, problem }) => `Ollama could not be unpacked into ${dir}: ${problem}`,
  hint: 'see that there is room for some gigabytes',
});

/** No connection, or it broke. `heard`: the server had the request by then. The cause has the code of the system. */
export const OllamaUnreachableError = defineError<{ url: string; problem: string; heard: boolean }>({
  code: 'OLLAMA_UNREACHABLE',
  retryable: true,
  message: ({ url, problem }) => `Ollama at ${url} cannot be reached: ${problem}`,
  hint: 'check with `mgpu status` that it runs, and look into its log',
});

/** No JSON, or JSON of another shape than the protocol has. */
export const OllamaBadAnswerError = defineError<{ url: string; problem: string }>({
  code: 'OLLAMA_BAD_ANSWER',
  retryable: true,
  message: ({ url, problem }) => `Ollama gave an answer to ${url} that makes no sense: ${problem}`,
  hint: 'check that this is an Ollama and nothing in between changes its answers',
});

/** A request was refused for what it asks. */
export const OllamaRefusedError = defineError<{ request: string; status: number; answer: string }>({
  code: 'OLLAMA_REFUSED',
  message: ({ request, status, answer }) =>
    `Ollama refused ${request} with status ${status}${answer ? `: ${answer}` : ''}`,
});

/** The server has no model of that name. */
export const OllamaModelMissingError = defineError<{ model: string; url: string }>({
  code: 'OLLAMA_MODEL_MISSING',
  message: ({ model, url }) => `Ollama at ${url} has no model ${model}`,
  hint: ({ model }) => `pull it (ollama pull ${model}), or add it to services.ollama.models`,
});

/** Too many requests wait already. */
export const OllamaBusyError = defineError<{ url: string }>({
  code: 'OLLAMA_BUSY',
  retryable: true,
  message: ({ url }) => `Ollama at ${url} has as many requests waiting as it takes`,
  hint: 'try again later, or raise services.ollama.settings.maxQueue',
});

/** The model's own process failed. */
export const OllamaFailedError = defineError<{ request: string; problem: string }>({
  code: 'OLLAMA_FAILED',
  retryable: true,
  message: ({ request, problem }) => `Ollama failed at ${request}: ${problem}`,
  hint: "look into the server's log",
});

/** The model, or what it was to do, does not fit into memory. */
export const OllamaOutOfMemoryError = defineError<{ request: string; problem: string }>({
  code: 'OLLAMA_OUT_OF_MEMORY',
  retryable: true,
  message: ({ request, problem }) => `Ollama had too little memory for ${request}: ${problem}`,
  hint: 'use a smaller model or options.num_ctx, or settings.numParallel',
});

/** The GPU cannot be used any more: everything fails until the server is restarted. */
export const OllamaEngineFaultError = defineError<{ request: string; problem: string; fault: 'engine-fault' }>({
  code: 'OLLAMA_ENGINE_FAULT',
  retryable: true,
  message: ({ request, problem }) => `Ollama cannot use its GPU any more, at ${request}: ${problem}`,
  hint: 'restart it',
});

/** A model did not come. What came of it is kept by the server, and the next pull goes on from there. */
export const OllamaPullFailedError = defineError<{ model: string; problem: string }>({
  code: 'OLLAMA_PULL_FAILED',
  retryable: true,
  message: ({ model, problem }) => `model ${model} could not be pulled: ${problem}`,
});

/** The registry has no model of that name. */
export const OllamaModelUnknownError = defineError<{ model: string; problem: string }>({
  code: 'OLLAMA_MODEL_UNKNOWN',
  message: ({ model, problem }) => `the registry has no model ${model}: ${problem}`,
  hint: 'https://ollama.com/library lists those there are',
});

/** A job's input is not what a job of this type is. */
export const OllamaInputInvalidError = defineError<{ problems: readonly string[] }>({
  code: 'OLLAMA_INPUT_INVALID',
  message: ({ problems }) => `the input of an ollama job is not valid: ${problems.join('; ')}`,
  hint: 'give one of { generate }, { chat } and { embed }, with the body of that request to Ollama',
});

/** A picture that a job names is not on this machine or cannot be read. */
export const OllamaImageError = defineError<{ path: string; problem: string }>({
  code: 'OLLAMA_IMAGE',
  message: ({ path, problem }) => `the picture ${path} cannot be given to Ollama: ${problem}`,
});

/** The server went away with a job and did not come back in time. */
export const OllamaEngineLostError = defineError<{
  engine: string;
  waitedMs: number;
  /** `engine-fault` when it had begun with the job. */
  fault: 'retryable' | 'engine-fault';
}>({
  code: 'OLLAMA_ENGINE_LOST',
  retryable: true,
  message: ({ engine, waitedMs }) =>
    `${engine}: went away with a job and did not come back within ${Math.round(waitedMs / 1_000)} s`,
  hint: 'look into its log for why it ended',
});

/** The server died of the same job more than once. */
export const OllamaJobKillsEngineError = defineError<{ engine: string; deaths: number }>({
  code: 'OLLAMA_JOB_KILLS_ENGINE',
  message: ({ engine, deaths }) =>
    `${engine}: broke off ${deaths} times while it did this job; it is not given to it again`,
  hint: "look into the engine's log for what it died of",
});
