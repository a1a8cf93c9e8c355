const FIELDS = `{
    ... on Device {
      id
      otaTask(type: FOTA) {
        target
        size
        md5
        downloadUrl
      }
      otaTaskResult(type: SOTA) {
        ... on OtaTask {
          target
          size
        }
        ... on OtaTaskAbsent {
          reason
          errno
        }
      }
    }
  }
`;

/**
 * The operation that explorers are prefilled with: what a router would send for two devices. With the demo's OneNET it
 * shows a task, an absence as data, and an error with its code.
 */
export const exampleOperation = {
  document: `# What a router sends: one representation for each device.
query OtaTasks($representations: [_Any!]!) {
  _entities(representations: $representations) ${FIELDS}}
`,
  variables: {
    representations: [
      { __typename: 'Device', id: '6523' },
      { __typename: 'Device', id: '586012425' },
    ],
  },
} as const;

/** The same without variables, for GraphiQL: its editor takes the scalar `_Any` for a string and underlines objects. */
export const exampleWithoutVariables = `# What a router sends: one representation for each device.
query OtaTasks {
  _entities(
    representations: [
      { __typename: "Device", id: "6523" }
      { __typename: "Device", id: "586012425" }
    ]
  ) ${FIELDS}}
`;
