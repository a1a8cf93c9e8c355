import type { GraphQLResolveInfo } from 'graphql';
import type { DeviceModel } from '../graphql/device-reference.ts';
import type { OtaTask as OtaTaskModel, OtaTaskAbsent as OtaTaskAbsentModel } from '../ota-task.ts';
import type { GraphQLContext } from '../graphql/context.ts';
export type Maybe<T> = T | null;
export type InputMaybe<T> = Maybe<T>;
export type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
export type MakeOptional<T, K extends keyof T> = Omit<T, K> & { [SubKey in K]?: Maybe<T[SubKey]> };
export type MakeMaybe<T, K extends keyof T> = Omit<T, K> & { [SubKey in K]: Maybe<T[SubKey]> };
export type MakeEmpty<T extends { [key: string]: unknown }, K extends keyof T> = { [_ in K]?: never };
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
export type RequireFields<T, K extends keyof T> = Omit<T, K> & { [P in K]-?: NonNullable<T[P]> };
/** All built-in and custom scalars, mapped to their actual values */
export type Scalars = {
  ID: { input: string; output: string; }
  String: { input: string; output: string; }
  Boolean: { input: boolean; output: boolean; }
  Int: { input: number; output: number; }
  Float: { input: number; output: number; }
  _FieldSet: { input: unknown; output: unknown; }
};

/** An IoT device. Another subgraph owns it; this one adds the upgrade task that OneNET has under way for it. */
export type Device = {
  __typename?: 'Device';
  /**
   * OneNET's device id (`dev_id`): 1 to 64 characters of `A-Z a-z 0-9 _ -`, used unchanged (`007` is not `7`).
   * Any other id is the error `BAD_USER_INPUT` and costs no call.
   */
  id: Scalars['ID']['output'];
  /**
   * The upgrade task that the device is downloading or installing right now, asked of OneNET at this moment.
   *
   * Null always comes with an error on this field; its `extensions.code` says why:
   * `OTA_TASK_NOT_FOUND` (there is no task, or its token is no longer valid), `OTA_TOKEN_EXPIRED` (the upgrade is over),
   * `OTA_INVALID_TYPE` (OneNET refused the type), and when OneNET cannot answer `ONENET_RATE_LIMITED`, `ONENET_UNAVAILABLE`,
   * `ONENET_TIMEOUT`, `ONENET_INTERNAL_ERROR` (these four may be asked again: `extensions.retryable` is true),
   * `ONENET_UNAUTHORIZED`, `ONENET_BAD_RESPONSE` or `ONENET_UNKNOWN_ERRNO`.
   * In lists, where "no task" is the normal case, ask for `otaTaskResult` instead.
   */
  otaTask?: Maybe<OtaTask>;
  /**
   * The same task with the expected outcomes as data: where there is no task, or its token has expired, the answer is
   * an `OtaTaskAbsent` and not an error. Made for list views.
   *
   * Null always comes with an error on this field, with the codes of `otaTask` except `OTA_TASK_NOT_FOUND` and
   * `OTA_TOKEN_EXPIRED`.
   */
  otaTaskResult?: Maybe<OtaTaskResult>;
};


/** An IoT device. Another subgraph owns it; this one adds the upgrade task that OneNET has under way for it. */
export type DeviceOtaTaskArgs = {
  type: OtaTaskType;
};


/** An IoT device. Another subgraph owns it; this one adds the upgrade task that OneNET has under way for it. */
export type DeviceOtaTaskResultArgs = {
  type: OtaTaskType;
};

/** How an upgrade package is made. */
export type OtaPackageType =
  /** The package holds only the difference to the version that the device runs (OneNET's type 2). */
  | 'DELTA'
  /** The package holds the whole target version (OneNET's type 1). */
  | 'FULL';

/** An upgrade task that a device is downloading or installing, with the values that OneNET's document gives it. */
export type OtaTask = {
  __typename?: 'OtaTask';
  /**
   * The package's address, `http://{ipPort}/ota/download/{token}`. It contains the token: treat it as a secret.
   * Null: OneNET sent no address, or one that is not a plain host with an optional port.
   */
  downloadUrl?: Maybe<Scalars['String']['output']>;
  /** Time between two tries, in seconds. Null: OneNET sent no number. */
  interval?: Maybe<Scalars['Int']['output']>;
  /**
   * Where the package can be pulled from: a host, with or without a port. Asked of OneNET only when this field or
   * `downloadUrl` is selected. Null: OneNET sent no address.
   */
  ipPort?: Maybe<Scalars['String']['output']>;
  /** MD5 checksum of the package, as OneNET sent it: usually 32 lower-case hexadecimal digits. */
  md5: Scalars['String']['output'];
  /**
   * The task proceeds only while the device's battery is above this level, in percent. Null: OneNET sent no
   * such condition.
   */
  power?: Maybe<Scalars['Int']['output']>;
  /** How often the device may try again after a failure; 0 is never. Null: OneNET sent no number. */
  retry?: Maybe<Scalars['Int']['output']>;
  /**
   * The task proceeds only while the device's signal is above this value. As OneNET reports it: its document
   * names no unit. Null: OneNET sent no such condition.
   */
  signal?: Maybe<Scalars['Int']['output']>;
  /** Size of the package in bytes. */
  size: Scalars['Int']['output'];
  /** The version that the device will have when the task is done, e.g. `1.2`. */
  target: Scalars['String']['output'];
  /**
   * The task's token. Whoever has it can download the package without signing in, for about two days:
   * treat it as a secret.
   */
  token: Scalars['String']['output'];
  /** Whether the package holds the whole version or only the difference. */
  type: OtaPackageType;
};

/** Why a device has no upgrade task under way. */
export type OtaTaskAbsenceReason =
  /** OneNET found no valid token: there is no upgrade task, or the task's token has expired (errno 4). */
  | 'NO_TASK'
  /** The task's token has expired and the device's upgrade is over (errno 12). */
  | 'TOKEN_EXPIRED';

/** The device has no upgrade task under way. */
export type OtaTaskAbsent = {
  __typename?: 'OtaTaskAbsent';
  /** The number with which OneNET said so: 4 for `NO_TASK`, 12 for `TOKEN_EXPIRED`. */
  errno: Scalars['Int']['output'];
  /** Why there is none. */
  reason: OtaTaskAbsenceReason;
};

/** The outcome of asking for a device's task where having none is an expected answer. */
export type OtaTaskResult = OtaTask | OtaTaskAbsent;

/** What an upgrade task renews on the device. */
export type OtaTaskType =
  /** Firmware over the air (OneNET's type 1). */
  | 'FOTA'
  /** Software over the air: an application or module on the device (OneNET's type 2). */
  | 'SOTA';

export type WithIndex<TObject> = TObject & Record<string, any>;
export type ResolversObject<TObject> = WithIndex<TObject>;

export type ResolverTypeWrapper<T> = Promise<T> | T;

export type ReferenceResolver<TResult, TReference, TContext> = (
      reference: TReference,
      context: TContext,
      info: GraphQLResolveInfo
    ) => Promise<TResult> | TResult;

      type ScalarCheck<T, S> = S extends true ? T : NullableCheck<T, S>;
      type NullableCheck<T, S> = Maybe<T> extends T ? Maybe<ListCheck<NonNullable<T>, S>> : ListCheck<T, S>;
      type ListCheck<T, S> = T extends (infer U)[] ? NullableCheck<U, S>[] : GraphQLRecursivePick<T, S>;
      export type GraphQLRecursivePick<T, S> = { [K in keyof T & keyof S]: ScalarCheck<T[K], S[K]> };
    

export type ResolverWithResolve<TResult, TParent, TContext, TArgs> = {
  resolve: ResolverFn<TResult, TParent, TContext, TArgs>;
};
export type Resolver<TResult, TParent = Record<PropertyKey, never>, TContext = Record<PropertyKey, never>, TArgs = Record<PropertyKey, never>> = ResolverFn<TResult, TParent, TContext, TArgs> | ResolverWithResolve<TResult, TParent, TContext, TArgs>;

export type ResolverFn<TResult, TParent, TContext, TArgs> = (
  parent: TParent,
  args: TArgs,
  context: TContext,
  info: GraphQLResolveInfo
) => Promise<TResult> | TResult;

export type SubscriptionSubscribeFn<TResult, TParent, TContext, TArgs> = (
  parent: TParent,
  args: TArgs,
  context: TContext,
  info: GraphQLResolveInfo
) => AsyncIterable<TResult> | Promise<AsyncIterable<TResult>>;

export type SubscriptionResolveFn<TResult, TParent, TContext, TArgs> = (
  parent: TParent,
  args: TArgs,
  context: TContext,
  info: GraphQLResolveInfo
) => TResult | Promise<TResult>;

export interface SubscriptionSubscriberObject<TResult, TKey extends string, TParent, TContext, TArgs> {
  subscribe: SubscriptionSubscribeFn<{ [key in TKey]: TResult }, TParent, TContext, TArgs>;
  resolve?: SubscriptionResolveFn<TResult, { [key in TKey]: TResult }, TContext, TArgs>;
}

export interface SubscriptionResolverObject<TResult, TParent, TContext, TArgs> {
  subscribe: SubscriptionSubscribeFn<any, TParent, TContext, TArgs>;
  resolve: SubscriptionResolveFn<TResult, any, TContext, TArgs>;
}

export type SubscriptionObject<TResult, TKey extends string, TParent, TContext, TArgs> =
  | SubscriptionSubscriberObject<TResult, TKey, TParent, TContext, TArgs>
  | SubscriptionResolverObject<TResult, TParent, TContext, TArgs>;

export type SubscriptionResolver<TResult, TKey extends string, TParent = Record<PropertyKey, never>, TContext = Record<PropertyKey, never>, TArgs = Record<PropertyKey, never>> =
  | ((...args: any[]) => SubscriptionObject<TResult, TKey, TParent, TContext, TArgs>)
  | SubscriptionObject<TResult, TKey, TParent, TContext, TArgs>;

export type TypeResolveFn<TTypes, TParent = Record<PropertyKey, never>, TContext = Record<PropertyKey, never>> = (
  parent: TParent,
  context: TContext,
  info: GraphQLResolveInfo
) => Maybe<TTypes> | Promise<Maybe<TTypes>>;

export type IsTypeOfResolverFn<T = Record<PropertyKey, never>, TContext = Record<PropertyKey, never>> = (obj: T, context: TContext, info: GraphQLResolveInfo) => boolean | Promise<boolean>;

export type NextResolverFn<T> = () => Promise<T>;

export type DirectiveResolverFn<TResult = Record<PropertyKey, never>, TParent = Record<PropertyKey, never>, TContext = Record<PropertyKey, never>, TArgs = Record<PropertyKey, never>> = (
  next: NextResolverFn<TResult>,
  parent: TParent,
  args: TArgs,
  context: TContext,
  info: GraphQLResolveInfo
) => TResult | Promise<TResult>;

/** Mapping of federation types */
export type FederationTypes = ResolversObject<{
  Device: Device;
}>;

/** Mapping of federation reference types */
export type FederationReferenceTypes = ResolversObject<{
  Device:
    ( { __typename: 'Device' }
    & GraphQLRecursivePick<FederationTypes['Device'], {"id":true}> );
}>;

/** Mapping of union types */
export type ResolversUnionTypes<_RefType extends Record<string, unknown>> = ResolversObject<{
  OtaTaskResult:
    | ( OtaTaskModel )
    | ( OtaTaskAbsentModel )
  ;
}>;


/** Mapping between all available schema types and the resolvers types */
export type ResolversTypes = ResolversObject<{
  Device: ResolverTypeWrapper<DeviceModel>;
  ID: ResolverTypeWrapper<Scalars['ID']['output']>;
  OtaPackageType: OtaPackageType;
  OtaTask: ResolverTypeWrapper<OtaTaskModel>;
  String: ResolverTypeWrapper<Scalars['String']['output']>;
  Int: ResolverTypeWrapper<Scalars['Int']['output']>;
  OtaTaskAbsenceReason: OtaTaskAbsenceReason;
  OtaTaskAbsent: ResolverTypeWrapper<OtaTaskAbsentModel>;
  OtaTaskResult: ResolverTypeWrapper<ResolversUnionTypes<ResolversTypes>['OtaTaskResult']>;
  OtaTaskType: OtaTaskType;
  Boolean: ResolverTypeWrapper<Scalars['Boolean']['output']>;
}>;

/** Mapping between all available schema types and the resolvers parents */
export type ResolversParentTypes = ResolversObject<{
  Device: DeviceModel;
  ID: Scalars['ID']['output'];
  OtaTask: OtaTaskModel;
  String: Scalars['String']['output'];
  Int: Scalars['Int']['output'];
  OtaTaskAbsent: OtaTaskAbsentModel;
  OtaTaskResult: ResolversUnionTypes<ResolversParentTypes>['OtaTaskResult'];
  Boolean: Scalars['Boolean']['output'];
}>;

export type DeviceResolvers<ContextType = GraphQLContext, ParentType extends ResolversParentTypes['Device'] = ResolversParentTypes['Device'], FederationReferenceType extends FederationReferenceTypes['Device'] = FederationReferenceTypes['Device']> = ResolversObject<{
  __resolveReference?: ReferenceResolver<Maybe<ResolversTypes['Device']> | FederationReferenceType, FederationReferenceType, ContextType>;
  id?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  otaTask?: Resolver<Maybe<ResolversTypes['OtaTask']>, ParentType, ContextType, RequireFields<DeviceOtaTaskArgs, 'type'>>;
  otaTaskResult?: Resolver<Maybe<ResolversTypes['OtaTaskResult']>, ParentType, ContextType, RequireFields<DeviceOtaTaskResultArgs, 'type'>>;
}>;

export type OtaTaskResolvers<ContextType = GraphQLContext, ParentType extends ResolversParentTypes['OtaTask'] = ResolversParentTypes['OtaTask']> = ResolversObject<{
  downloadUrl?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  interval?: Resolver<Maybe<ResolversTypes['Int']>, ParentType, ContextType>;
  ipPort?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  md5?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  power?: Resolver<Maybe<ResolversTypes['Int']>, ParentType, ContextType>;
  retry?: Resolver<Maybe<ResolversTypes['Int']>, ParentType, ContextType>;
  signal?: Resolver<Maybe<ResolversTypes['Int']>, ParentType, ContextType>;
  size?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  target?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  token?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  type?: Resolver<ResolversTypes['OtaPackageType'], ParentType, ContextType>;
  __isTypeOf?: IsTypeOfResolverFn<ParentType, ContextType>;
}>;

export type OtaTaskAbsentResolvers<ContextType = GraphQLContext, ParentType extends ResolversParentTypes['OtaTaskAbsent'] = ResolversParentTypes['OtaTaskAbsent']> = ResolversObject<{
  errno?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  reason?: Resolver<ResolversTypes['OtaTaskAbsenceReason'], ParentType, ContextType>;
  __isTypeOf?: IsTypeOfResolverFn<ParentType, ContextType>;
}>;

export type OtaTaskResultResolvers<ContextType = GraphQLContext, ParentType extends ResolversParentTypes['OtaTaskResult'] = ResolversParentTypes['OtaTaskResult']> = ResolversObject<{
  __resolveType: TypeResolveFn<'OtaTask' | 'OtaTaskAbsent', ParentType, ContextType>;
}>;

export type Resolvers<ContextType = GraphQLContext> = ResolversObject<{
  Device?: DeviceResolvers<ContextType>;
  OtaTask?: OtaTaskResolvers<ContextType>;
  OtaTaskAbsent?: OtaTaskAbsentResolvers<ContextType>;
  OtaTaskResult?: OtaTaskResultResolvers<ContextType>;
}>;

