/**
 * The management API, typed by its OpenAPI document.
 *
 * The session cookie is HttpOnly: no script of this page ever sees a token.
 */
import createClient from "openapi-fetch";
import type { components, paths } from "./generated";

export type Account = components["schemas"]["Account"];
export type AccountWindow = components["schemas"]["AccountWindow"];
export type RequestRow = components["schemas"]["RequestRow"];
export type Analytics = components["schemas"]["Analytics"];
export type AnalyticsPoint = components["schemas"]["Point"];

/** The API answered with an error status. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Whether the session is missing or has ended. */
export function isUnauthorized(error: unknown): boolean {
  return error instanceof ApiError && error.status === 401;
}

const client = createClient<paths>({ credentials: "same-origin" });

async function data<T>(answer: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await answer;
  if (data === undefined) {
    const said = (error as { error?: string } | undefined)?.error;
    throw new ApiError(response.status, said ?? `the controller answered ${response.status}`);
  }
  return data;
}

export const api = {
  accounts: () => data(client.GET("/api/accounts")),
  analytics: (range: "1h" | "6h" | "24h") =>
    data(client.GET("/api/analytics", { params: { query: { range } } })),
  requests: (limit: number) => data(client.GET("/api/requests", { params: { query: { limit } } })),
  pause: (id: string) => data(client.POST("/api/accounts/{id}/pause", { params: { path: { id } } })),
  resume: (id: string) => data(client.POST("/api/accounts/{id}/resume", { params: { path: { id } } })),
  login: (token: string) => data(client.POST("/api/session", { body: { token } })),
};
