/** Variables that say nothing to mgpu, and why. `*` in a name stands for anything. */
export interface SilentVariables {
  readonly names: readonly string[];
  readonly why: string;
}

/** Variables of the predecessors without a meaning any more; whoever sets one is told what takes its place. */
export const formerVariables: readonly SilentVariables[] = [
  { names: ['DEBUG', 'DEBUG_MODE'], why: 'use `LOG_LEVEL=debug`; `mgpu why` tells what went wrong' },
  { names: ['DEBUG_HOOK_*'], why: '`DEBUG_HOOK_BEFORE` names the phases that a boot is to pause before' },
  { names: ['LOG_DIR', 'CUSTOM_LOG_FILES'], why: 'logs lie below the root: `logs/` and `<instance>/logs/`' },
  {
    names: ['CONFIG_DIR', 'SERVICE_MANAGER_PATH', 'STANDALONE_MODE', 'SHUTDOWN_REASON', 'SERVICE_TYPE'],
    why: 'inner workings of the old image; `ROOT` is the only folder',
  },
  {
    names: ['MACHINE_BASE_ID', 'MACHINE_INSTANCE', 'WORKER_ID', 'WORKER_ID_PREFIX'],
    why: '`MACHINE_ID` names the machine, and each worker is `worker_gpu<n>` on it',
  },
  { names: ['WORKER_NUM_GPUS', 'GPU_ID'], why: 'use `NUM_GPUS`, or `services.<kind>.gpus` for an engine on some GPUs' },
  {
    names: [
      'GPU_MEMORY_GB',
      'GPU_MODEL',
      'MACHINE_CPU_CORES',
      'MACHINE_DISK_GB',
      'MACHINE_GPU_MEMORY_GB',
      'MACHINE_GPU_MODEL',
      'MACHINE_HAS_GPU',
      'MACHINE_RAM_GB',
      'WORKER_GPU_MEMORY_GB',
      'WORKER_GPU_MODEL',
      'WORKER_RAM_GB',
    ],
    why: 'what the machine has is measured: `mgpu doctor`, `mgpu status --json`',
  },
  {
    names: ['WORKER_REDIS_API_*', 'WORKER_WEBSOCKET_AUTH_TOKEN', 'WORKER_USE_SSL', 'UNIFIED_MACHINE_STATUS'],
    why: 'there is no hub: workers take jobs from the Redis of `REDIS_URL` (`rediss://user:password@host`)',
  },
  {
    names: ['WORKER_DOWNLOAD_URL', 'WORKER_LOCAL_PATH', 'WORKER_BUNDLE_MODE'],
    why: 'the worker is part of mgpu and comes with it',
  },
  { names: ['CONNECTORS'], why: 'use `WORKER_CONNECTORS`' },
  {
    names: [
      'WORKER_HEARTBEAT_INTERVAL',
      'WORKER_HEARTBEAT_INTERVAL_MS',
      'WORKER_HEARTBEAT_TIMEOUT_SEC',
      'WORKER_POLL_INTERVAL_MS',
    ],
    why: 'jobs are handed over at once; `services.worker.lockMs` says when those of a silent machine go to another',
  },
  { names: ['WORKER_LOG_LEVEL'], why: "a worker's output is in `worker_gpu<n>/logs/output.log`" },
  {
    names: ['JOB_TIMEOUT_MINUTES', 'MAX_PROCESSING_TIME_MINUTES', 'JOB_PROGRESS_TIMEOUT_SEC'],
    why: 'each job says its `timeoutMs`; `services.watchdog.policies.<kind>.stallAfterMs` ends what makes no progress',
  },
  {
    names: [
      'HEALTH_CHECK_INTERVAL',
      'HEALTH_CHECK_INTERVAL_MS',
      'HEALTH_CHECK_TIMEOUT',
      'STARTUP_GRACE_PERIOD',
      'WEBSOCKET_INACTIVITY_TIMEOUT_MS',
    ],
    why: 'each service knows how it is asked; a start may take `services.<kind>.startDeadlineMs`',
  },
  {
    names: ['MACHINE_STATUS_UPDATE_INTERVAL_SECONDS'],
    why: 'what is told is never old: `mgpu status --watch`, `GET /v1/status`, `GET /v1/events`',
  },
  {
    names: ['ENABLE_SIMULATION', 'SIMULATION_*', 'WORKER_SIMULATION_*', 'MOCK_MODE'],
    why: '`MOCK_GPU=1` simulates the engines; `MGPU_SIM` and its like say how they behave',
  },
  {
    names: [
      'COMFYUI_HOST',
      'COMFYUI_PORT',
      'COMFYUI_SECURE',
      'COMFYUI_WS_URL',
      'COMFYUI_USERNAME',
      'COMFYUI_PASSWORD',
      'COMFYUI_API_KEY',
      'COMFYUI_TIMEOUT_SECONDS',
      'WORKER_COMFYUI_*',
      'A1111_HOST',
      'A1111_PORT',
      'OLLAMA_TIMEOUT_SECONDS',
      'OLLAMA_REQUEST_TIMEOUT_MS',
      'OLLAMA_MAX_CONCURRENT_JOBS',
    ],
    why: 'workers know the engines of their machine; `<KIND>_BASE_PORT` moves their ports',
  },
  {
    names: ['OPENAI_*', 'WORKER_REST_*', 'GEMINI_NANO_BANANA_URL'],
    why: 'connectors to servers elsewhere come with a later version',
  },
  {
    names: [
      'ALLOWED_CUSTOMERS',
      'DENIED_CUSTOMERS',
      'MAX_CONCURRENT_CUSTOMERS',
      'QUALITY_LEVELS',
      'DEBUGGING_ENABLED',
      'DEVELOPMENT_MODE',
      'WORKER_A1111_VERSION',
      'WORKER_ASSET_TYPE',
      'WORKER_AVAILABILITY',
      'WORKER_COMFYUI_VERSION',
      'WORKER_COMPLIANCE',
      'WORKER_COST_TIER',
      'WORKER_COUNTRY',
      'WORKER_CUSTOMER_ISOLATION',
      'WORKER_DATA_RESIDENCY',
      'WORKER_EXPERIMENTAL_MODE',
      'WORKER_FEATURES',
      'WORKER_LIMITATIONS',
      'WORKER_MAX_BATCH_SIZE',
      'WORKER_MEMORY_CONSTRAINED',
      'WORKER_MINIMUM_CHARGE',
      'WORKER_MODELS',
      'WORKER_MULTI_SERVICE',
      'WORKER_PERFORMANCE_TIER',
      'WORKER_RATE_PER_HOUR',
      'WORKER_RATE_PER_JOB',
      'WORKER_REGION',
      'WORKER_SLA_TIER',
      'WORKER_SPECIALIZATION',
      'WORKER_WORKFLOW_ID',
    ],
    why: 'routing by capabilities and customers comes with a later version; a job goes to any free engine of its type',
  },
  {
    names: ['COMFYUI_INSTANCES_PER_GPU', 'A1111_INSTANCES_PER_GPU', 'OLLAMA_INSTANCES_PER_GPU'],
    why: 'there is one of each per GPU; of Ollama one in all, unless `services.ollama.perGpu`',
  },
  { names: ['COMFYUI_PORT_INCREMENT', 'OLLAMA_PORT_INCREMENT'], why: 'the port of GPU n is base + n' },
  {
    names: ['EXPOSE_PORTS', 'RUNTIME_PORTS', 'COMFYUI_EXPOSE_PORTS'],
    why: 'nginx is in front of the engines; `NGINX_HOST=0.0.0.0` lets others in, and containers publish their ports',
  },
  { names: ['COMFY_AUTH'], why: 'it was computed; `SERVER_CREDS` are the users that may come in' },
  {
    names: [
      'COMFYUI_INSTALL_TIMEOUT',
      'A1111_INSTALL_TIMEOUT',
      'OLLAMA_INSTALL_TIMEOUT',
      'OLLAMA_MODEL_DOWNLOAD_TIMEOUT',
    ],
    why: 'what is downloaded ends when nothing comes any more, not while something does',
  },
  {
    names: ['OLLAMA_INSTALL_METHOD', 'OLLAMA_INSTALL_URL'],
    why: 'no install script is run: see `services.ollama.download`',
  },
  { names: ['OLLAMA_GPU_MEMORY_FRACTION'], why: '`OLLAMA_GPU_OVERHEAD` keeps memory free' },
  {
    names: ['COMFYUI_MODELS_PATH'],
    why: 'models lie in `shared/models`, and where `shared/comfy_dir_config.yaml` says',
  },
  { names: ['GCS_BUCKET', 'CUSTOM_BUCKET'], why: 'use `CLOUD_MODELS_CONTAINER`, or `mgpu models sync --bucket`' },
  {
    names: ['COMPONENTS', 'COLLECTIONS', 'EMPROPS_API_URL', 'EMP_API_URL', 'EMPROPS_API_KEY', 'ECLI_API_URL'],
    why: 'nodes and models come by lists: `shared/config_nodes.json` and `shared/models.yaml`',
  },
  {
    names: ['OTEL_*', 'DASH0_*', 'TELEMETRY_ENV', 'DISABLE_TELEMETRY_LOGGING', 'DISABLE_FLUENT_BIT_LOGGING'],
    why: "nothing is sent anywhere; logs are files, the daemon's in JSON",
  },
  {
    names: ['EMP_ENV_DECRYPT_KEY', 'ENV_ENCRYPT_KEY', 'DISABLE_ENV_ENCRYPTION'],
    why: 'secrets are given to the daemon when it starts: no image holds any',
  },
  { names: ['LANGFLOW_*'], why: 'Langflow had left the old machine already' },
  { names: ['BASE_IMAGE', '*_BUST'], why: 'arguments of the old image; `mgpu export docker` writes another' },
];

/** Variables that are not mgpu's: others have set them, or it is others that read them. Nobody is told. */
export const foreignVariables: readonly SilentVariables[] = [
  {
    names: [
      'OPENAI_API_KEY',
      'OPENAI_BASE_URL',
      'GEMINI_API_KEY',
      'CLOUD_CDN_URL',
      'CLOUD_STORAGE_CONTAINER',
      'STATIC_MODELS',
      'EMPROPS_DEBUG_LOGGING',
    ],
    why: 'engines and their custom nodes get them, as everything that is no configuration',
  },
  {
    names: ['NVIDIA_VISIBLE_DEVICES', 'NVIDIA_DRIVER_CAPABILITIES', 'CUDA_VERSION'],
    why: 'the container runtime reads them',
  },
  { names: ['CUDA_VISIBLE_DEVICES', 'CUDA_DEVICE_ORDER'], why: 'each engine is given its GPU by mgpu' },
  { names: ['NODE_ENV', 'PM2_HOME'], why: 'Node and PM2 read them' },
  {
    names: ['MACHINE_VERSION', 'BUILD_DATE', 'BUILD_TIMESTAMP', 'BUILD_ENV', 'GIT_COMMIT', 'GIT_BRANCH'],
    why: 'labels of an image; `mgpu --version` is that of mgpu',
  },
];
