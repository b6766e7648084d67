import { z } from 'zod';

/** Configuration of `services.http`. */
export const httpSchema = z.strictObject({
  enabled: z.boolean().default(true).describe('Whether the machine answers over HTTP'),
  host: z
    .union([z.ipv4(), z.ipv6(), z.literal('localhost')])
    .default('127.0.0.1')
    .describe('Address it listens on'),
  port: z.number().int().min(1).max(65_535).default(9090).describe('Port it listens on'),
  auth: z
    .boolean()
    .default(true)
    .describe('Whether whatever changes or reveals something needs the token; may be off on loopback alone'),
  token: z
    .string()
    .min(32)
    .max(500)
    .regex(/^[\w.~+/=-]+$/, 'may have letters, digits and . _ ~ + / = - alone')
    .optional()
    .describe('The token; without it one is made and kept in state/http-token, where `mgpu token` reads and renews it'),
  hosts: z
    .array(z.string().min(1).max(253))
    .default([])
    .describe('Names under which it may be asked, besides its address, the name of this host and IP addresses'),
  origins: z
    .array(z.url({ protocol: /^https?$/ }))
    .default([])
    .describe('Pages of other hosts that may ask, such as https://monitor.example'),
  requestsPerSecond: z.number().int().min(1).default(1_000).describe('Requests of one address within a second'),
  maxConnections: z.number().int().min(1).max(65_535).default(512).describe('Connections at the same time'),
  maxStreams: z.number().int().min(1).max(65_535).default(256).describe('Streams of events open at the same time'),
});

export type HttpConfig = z.output<typeof httpSchema>;
/** The service used alone. */
export type OwnHttpConfig = Omit<HttpConfig, 'enabled'>;
