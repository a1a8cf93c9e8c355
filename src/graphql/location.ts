import type { ASTNode, SourceLocation } from 'graphql';

/** Where a node stands. Its token knows; `getLocation` would scan the whole text for it. */
export function locationOf({ loc }: ASTNode): SourceLocation {
  return { line: loc?.startToken.line ?? 1, column: loc?.startToken.column ?? 1 };
}
