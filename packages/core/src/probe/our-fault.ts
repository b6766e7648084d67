/** No descriptors, no memory, no local ports. */
const codes = new Set<unknown>(['EMFILE', 'ENFILE', 'ENOMEM', 'ENOBUFS', 'EADDRNOTAVAIL']);

/** Whether a failed try is the fault of this side: it says nothing about who was asked. */
export const isOurFault = (error: unknown): boolean => codes.has((error as NodeJS.ErrnoException | undefined)?.code);
