/** `services:` of a machine beside others on one host: it takes 2 × `gpus` + 2 ports from `first` on, and no default. */
export function servicesOnPorts(first: number, gpus: number) {
  return {
    comfyui: { basePort: first },
    http: { port: first + 2 * gpus + 1 },
    nginx: { port: first + gpus, upstreams: { comfyui: { basePort: first + gpus + 1 } } },
  };
}
