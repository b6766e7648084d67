/** The arguments that make nginx use this configuration and nothing of the system's. */
export const nginxArguments = (config: string, folder: string) => ['-c', config, '-p', folder, '-e', 'stderr'];
